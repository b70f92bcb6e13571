"""What may stand behind the question mark, for the OpenAPI document."""

from pydantic import BaseModel, Field


class Search(BaseModel):
    """Which people, and from where on."""

    query: str = Field(default="", description="how the name begins")
    after: str = Field(default="", description="`next` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class FriendsAfter(BaseModel):
    """From where on."""

    after: int = Field(default=0, description="`next` of the page before")
    limit: int = Field(default=100, ge=1, le=200)


class PostsBefore(BaseModel):
    """From where on, back in time."""

    before: int | None = Field(default=None, description="`next` of the page before")
    limit: int = Field(default=20, ge=1, le=100)


class FeedBefore(BaseModel):
    """From where on, back in time."""

    before: str | None = Field(default=None, description="`next` of the page before")
    limit: int = Field(default=50, ge=1, le=100)

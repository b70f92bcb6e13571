"""MongoDB, or the server that speaks its protocol."""

from pymongo import AsyncMongoClient, WriteConcern

from local.install_mongo import Flavour, ensure_mongo
from local.site import Site
from local.spec import Spec


def spec(site: Site, name: str = "mongo") -> Spec:
    """Ready when an acknowledged write is on its disk."""
    mark = site.data(name) / "made-by"
    mongo = ensure_mongo(site.place.software, Flavour(mark.read_text()) if mark.exists() else None)
    mark.write_text(mongo.flavour)
    files = site.data(name) / "files"
    files.mkdir(exist_ok=True)
    directory, port = str(files), str(site.ports[name])
    arguments: tuple[str, ...]
    if mongo.flavour is Flavour.MONGOD:
        arguments = ("--dbpath", directory, "--port", port, "--bind_ip", "127.0.0.1", "--nounixsocket")
    else:
        # Without --sync-on-commit a kill -9 loses acknowledged writes, whatever the write concern.
        arguments = (
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--storage-path",
            directory,
            "--sync-on-commit",
            "--cache-size",
            "256M",
        )
    url = f"mongodb://{site.at_port(name)}/?directConnection=true"

    async def ready() -> None:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
            url, serverSelectionTimeoutMS=2000, socketTimeoutMS=5000
        )
        async with client:
            collection = client["starts"]["starts"]
            durable = collection.with_options(write_concern=WriteConcern(w="majority", j=True))
            await durable.update_one({"_id": 1}, {"$inc": {"starts": 1}}, upsert=True)

    return Spec(
        name=name,
        command=(str(mongo.path), *arguments),
        # Some of its own files go to the working directory.
        cwd=directory,
        offers={"MONGO_URL": url},
        addresses=(site.at_port(name),),
        ready=ready,
    )

-- When the tokens of a session were used is asked at each refresh. One statement, which may be run again.
ALTER TABLE refresh_tokens
    DROP KEY refresh_tokens_session,
    ADD KEY refresh_tokens_session (session_id, used_at);

"""The whole system on one machine, from real servers, with no container engine: `python -m local up`.

For tests there are two ways in, both on the same supervisor as the command and both leaving nothing behind:

    from local import servers
    async with servers.running("kafka", tmp_path) as kafka:      # one real server, private port
        connect(kafka.env["KAFKA_SERVERS"]); await kafka.kill(); await kafka.start()

    from local.system import System
    async with System(tmp_path) as system:                       # everything, or only=["storekeeper-1"] and what it needs
        httpx.get(system.address); await system.stop("kafka-1"); await system.start("kafka-1")
"""

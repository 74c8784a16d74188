import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import { bindUdpInNamespace } from "../../net/index.ts";
import { serveDnsUdp } from "./dns-listener.ts";

test("a closed listener still answers the queries that it has read", async () => {
  const finder = createSocket("udp4").bind(0, "127.0.0.1");
  await once(finder, "listening");
  const { port } = finder.address();
  finder.close();
  await once(finder, "close");
  const fd = bindUdpInNamespace(undefined, { address: "127.0.0.1", port, reusePort: false });
  const queried = Promise.withResolvers<Buffer>();
  const answered = Promise.withResolvers<Buffer>();
  const read = async (query: Buffer): Promise<Buffer> => {
    queried.resolve(query);
    return await answered.promise;
  };
  const listener = await serveDnsUdp(fd, false, read, createLogger({ scope: "test", level: "error" }));
  const client = createSocket("udp4");
  client.send("query", port, "127.0.0.1");
  assert.equal(String(await queried.promise), "query");
  listener.close();
  answered.resolve(Buffer.from("answer"));
  const [answer] = (await once(client, "message")) as [Buffer];
  assert.equal(String(answer), "answer");
  client.close();
});

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import { answerReview } from "./rollout-webhook.ts";

test("what is no review is answered 400, and ends nothing", async () => {
  const log = createLogger({ scope: "test", write: () => undefined });
  const server = createServer((request, response) => void answerReview(request, response, log));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/review`;
  try {
    for (const body of ["null", "not json", ""]) assert.equal((await fetch(url, { method: "POST", body })).status, 400);
    assert.equal((await fetch(url, { method: "POST", body: "{}" })).status, 200);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import type { AccessReviews, AuthorKey } from "../access/index.ts";
import { answerReview } from "./rollout-webhook.ts";

test("what is no review is answered 400, and ends nothing", async () => {
  const tools = {
    log: createLogger({ scope: "test", write: () => undefined }),
    authorKey: {
      get: () => Promise.resolve(Buffer.alloc(32)),
      isPath: (path: string) => Promise.resolve(path === "/author/secret"),
    } as unknown as AuthorKey,
    accessReviews: { denied: () => Promise.resolve([]) } as unknown as AccessReviews,
  };
  const server = createServer((request, response) => void answerReview(request, response, tools));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/review`;
  try {
    for (const body of ["null", "not json", ""]) assert.equal((await fetch(url, { method: "POST", body })).status, 400);
    assert.equal((await fetch(url, { method: "POST", body: "{}" })).status, 200);
    // Whoever reaches the port could have any author signed otherwise.
    for (const [path, status] of [
      ["author/secret", 200],
      ["author/other", 400],
      ["author", 400],
    ] as const)
      assert.equal((await fetch(new URL(path, url), { method: "POST", body: "{}" })).status, status, path);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

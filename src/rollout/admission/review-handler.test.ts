import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { createLogger, systemClock } from "../../base/index.ts";
import type { AccessQuestion, AccessReviews, Author, AuthorKey } from "../access/index.ts";
import { ReviewHandler } from "./review-handler.ts";

const users: string[] = [];
const tools = {
  log: createLogger({ scope: "test", write: () => undefined }),
  clock: systemClock,
  authorKey: {
    get: () => Promise.resolve(Buffer.alloc(32)),
    isPath: (user: string, path: string) => Promise.resolve(path === `/${user}/secret`),
  } as unknown as AuthorKey,
  accessReviews: {
    denied: ({ user }: Author, questions: readonly AccessQuestion[]) => {
      users.push(user);
      return Promise.resolve(questions);
    },
  } as unknown as AccessReviews,
};

let handler = new ReviewHandler(tools);
const server = createServer((request, response) => void handler.handle(request, response));
let url = "";

before(async () => {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/review`;
});
after(async () => {
  server.close();
  server.closeAllConnections();
  await handler.close();
});

const target = { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } };

async function answerAt(path: string, steps: readonly object[]): Promise<{ allowed: boolean; message: string }> {
  const request = {
    uid: "u",
    kind: { group: "rollout.serin.dev", kind: "Canary" },
    name: "web",
    operation: "CREATE",
    userInfo: { username: "ann" },
    object: { metadata: { name: "web", namespace: "shop" }, spec: { target, steps } },
  };
  const answer = await fetch(new URL(path, url), { method: "POST", body: JSON.stringify({ request }) });
  const { response } = (await answer.json()) as {
    response: { uid: string; allowed: boolean; status?: { message: string } };
  };
  assert.equal(response.uid, "u");
  return { allowed: response.allowed, message: response.status?.message ?? "" };
}

test("a malformed review gets 400, and the server continues", async () => {
  for (const body of ["null", "not json", ""]) assert.equal((await fetch(url, { method: "POST", body })).status, 400);
  assert.equal((await fetch(url, { method: "POST", body: "{}" })).status, 200);
  // Otherwise any client that can reach the port could have any author signed.
  for (const [path, status] of [
    ["author/secret", 200],
    ["author/other", 400],
    ["author", 400],
  ] as const)
    assert.equal((await fetch(new URL(path, url), { method: "POST", body: "{}" })).status, status, path);
});

test("all callers get faults, and only callers of the secret path get results about rights", async () => {
  assert.match((await answerAt("/review", [{ weight: 101 }])).message, /spec\.steps\[0\]\.weight/);
  assert.deepEqual(await answerAt("/review", [{ weight: 10 }]), { allowed: true, message: "" });
  assert.deepEqual(users, []);
  const { allowed, message } = await answerAt("/review/secret", [{ weight: 10 }]);
  assert.equal(allowed, false);
  assert.match(message, /ann may not: patch httproutes/);
  assert.deepEqual(users, ["ann"]);
});

test("the error for an object whose review exceeds the limit names it, and the event loop is not blocked", async () => {
  await handler.close();
  handler = new ReviewHandler({ ...tools, limits: { workMs: 1_000, waitMs: 20_000 } });
  // The parser renders each of these specs with its profile, which takes long.
  const install = Array.from({ length: 60_000 }, () => ({ profile: "ambient", revision: "b" }));
  const request = {
    uid: "u",
    kind: { group: "rollout.serin.dev", kind: "MeshUpgrade" },
    name: "long",
    operation: "CREATE",
    object: { metadata: { name: "long" }, spec: { from: { revision: "a" }, to: { revision: "b", install } } },
  };
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 5);
  const answer = await fetch(url, { method: "POST", body: JSON.stringify({ request }) });
  clearInterval(timer);
  const { response } = (await answer.json()) as { response: { allowed: boolean; status?: { message: string } } };
  assert.equal(response.allowed, false);
  assert.match(response.status?.message ?? "", /^MeshUpgrade "long" is refused: checking it took longer than 1 s/);
  // If this thread ran the review, the event loop would make only a few turns.
  assert.ok(turns > 20, `${turns} turns`);
  assert.match((await answerAt("/review", [{ weight: 101 }])).message, /is not valid/, "the next one has a new thread");
});

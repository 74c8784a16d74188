import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { createKubeClient } from "../../kube/index.ts";
import { AccessReviews } from "./access-reviews.ts";

test("a review that the API server does not answer, or answers byte by byte, fails after 10 s", async (context) => {
  let count = 0;
  const server = createServer((_, response) => {
    count += 1;
    // The second request gets only the beginning of an answer.
    if (count === 2) response.writeHead(201).write("{");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const clock = new HandClock();
  const target = { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, context: "test" };
  const client = createKubeClient({ ...target, namespace: "default" }, { log: silentLogger, clock });
  context.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  const reviews = new AccessReviews(client, clock);
  const author = { user: "ann", groups: [], extra: {} };
  for (const asked of [1, 2]) {
    const failed = assert.rejects(reviews.denied(author, [{ verb: "patch", group: "apps", resource: "deployments" }]), {
      code: "timeout",
      message: "POST of /apis/authorization.k8s.io/v1/subjectaccessreviews: no answer in time",
    });
    await until(() => count === asked);
    for (let part = 0; part < 20; part += 1) {
      await turn();
      clock.pass(500);
    }
    await failed;
  }
});

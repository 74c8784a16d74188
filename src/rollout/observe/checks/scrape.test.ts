import assert from "node:assert/strict";
import { test } from "node:test";
import { fakePod } from "./testing/fake-mesh.ts";
import { scrapePod } from "./scrape.ts";

const closedPort = "1";

test("a pod whose metrics cannot be read is named, with what happened and the command", async () => {
  const pod = fakePod({
    name: "web-1",
    annotations: { "prometheus.io/port": closedPort },
    status: { podIP: "127.0.0.1" },
  });
  await assert.rejects(scrapePod(pod), {
    message:
      "pod shop/web-1 does not tell its metrics: nothing listens on 127.0.0.1:1 (ECONNREFUSED); the engine asks again; if this lasts, see kubectl -n shop describe pod web-1",
  });
});

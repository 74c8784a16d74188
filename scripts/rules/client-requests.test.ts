import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

const sends =
  /\b(?:httpsRequest|requestHttp)\(|(?:nodeHttp\(\)|builtin\("node:https?"\)|= http)\.(?:request|get)\((?!prefix)|= request\(/;
const bounds = /requireFinalResponse\(|limitInterimResponses\(/;

/** Clients whose servers may send interim responses without an end, each with the reason. */
const unbounded: Readonly<Record<string, string>> = {
  "src/kube/http1-transport.ts": "asks the API server, which may do anything anyway",
  "src/kube/port-forward.ts": "asks the API server, which may do anything anyway",
  "src/rollout/probe/probe-request.ts": "has its outcome after its time limit, whatever Node reports",
};

test("every HTTP client ends a request whose server switches protocols or sends interim responses without an end", () => {
  const files = globSync("src/**/*.ts").filter((file) => !/\.test\.ts$|\/testing\/|harness/.test(file));
  const clients = files.filter((file) => sends.test(readFileSync(file, "utf8")));
  assert.ok(clients.length > 10, "the pattern finds the clients");
  assert.deepEqual(
    clients.filter((file) => !bounds.test(readFileSync(file, "utf8"))).toSorted(),
    Object.keys(unbounded),
  );
});

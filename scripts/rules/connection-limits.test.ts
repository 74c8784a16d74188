import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** Servers without a limit of their own, each with the reason why it needs none. */
const unlimited: Readonly<Record<string, string>> = {
  "src/cli/charts/charts-command.ts": "serves the user's own programs on the loopback",
  "src/cluster/launcher/launcher.ts": "binds the lab's sockets and hands them to the API server, which limits them",
  "src/cni/redirect/redirect-check.ts": "serves one connection of its own test and closes",
  "src/controlplane/control-plane.ts": "starts the gRPC servers, which limit themselves",
  "src/controlplane/serve/log-control.ts": "bound to the loopback of istiod's pod",
  "src/dataplane/dns/dns-listener.ts": "its owners limit the connections: ProxyEnvironment and DnsCapture",
  "src/kube/read-only-relay.ts": "serves processes that its own process starts, by a secret, on the loopback",
  "src/net/byte-path.ts": "offers listening to others",
  "src/preflight/shadow/shadow-pilot.ts": "looks for a free port and closes",
  "src/proxy/workers/shared-listen.ts": "the limit is shared by all listeners of a thread: ConnectionRoom",
  "src/ztunnel/proxy/pod-proxy.ts": "the limit is shared by all pods: ProxyEnvironment",
};

/** Matches the calls of these functions, and not their declarations. */
const listens = /(?<!function |async |#|\w)(?:createServer|createSecureServer|listenTcp)\((?!options: )/;
const limits = /limitConnections\(|new ConnectionLimit|\.maxConnections = |>= maxConnections/;

test("every server limits its connections, so that one client cannot use up the process's descriptors", () => {
  const files = globSync("src/**/*.ts").filter((file) => !/\.test\.ts$|\/testing\/|harness/.test(file));
  const found = files.filter((file) => {
    const text = readFileSync(file, "utf8");
    return listens.test(text) && !limits.test(text);
  });
  assert.deepEqual(found.toSorted(), Object.keys(unlimited).toSorted());
});

/**
 * HTTP servers without `inTurns`, which shares the answers fairly among clients, each with the reason why it needs
 * none.
 */
const withoutTurns: Readonly<Record<string, string>> = {
  "src/cli/charts/charts-command.ts": "serves the user's own programs on the loopback",
  "src/cluster/apiserver/listeners.ts": "bounds the answers that a user does not read: UnreadAnswers",
  "src/cluster/node/kubelet-api/kubelet-server.ts": "serves the API server only, by its certificate",
  "src/controlplane/control-plane.ts": "starts gRPC servers, which give each connection its share",
  "src/controlplane/serve/log-control.ts": "bound to the loopback of istiod's pod",
  "src/controlplane/webhooks/webhook-server.ts": "reviews in turns, in a thread",
  "src/dashboard/server/dashboard-server.ts": "limits the requests in flight of each user",
  "src/kube/read-only-relay.ts": "serves processes that its own process starts, by a secret, on the loopback",
  "src/rollout/admission/rollout-webhook.ts": "reviews in turns, in a thread",
  "src/rollout/probe/probe-pace.ts": "answers with a few bytes, without work",
  "src/rollout/probe/probe-server.ts": "answers with a few bytes, without work",
};

test("every port of metrics, readiness and pages answers in turns of its clients", () => {
  const files = globSync("src/**/*.ts").filter((file) => !/\.test\.ts$|\/testing\/|harness/.test(file));
  const found = files.filter((file) => {
    const text = readFileSync(file, "utf8");
    return /node:https?\b|nodeHttp\(\)/.test(text) && listens.test(text) && !text.includes("inTurns(");
  });
  assert.deepEqual(found.toSorted(), Object.keys(withoutTurns).toSorted());
});

// Runs Serin's proxy as one process of the bench, until the bench ends. The arguments are the URL of its control plane
// and the number of its workers.
import { randomFillSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  giveBackIdleMemory,
  seededRandom,
  ShutdownController,
  silentLogger,
  systemClock,
  unhurriedShare,
} from "../src/base/index.ts";
import { FakeCertificateAuthority } from "../src/dataplane/index.ts";
import { listenTcp } from "../src/net/index.ts";
import { freePort } from "../src/net/testing/free-port.ts";
import { readSettings } from "../src/proxy/proxy-settings.ts";
import { Proxy } from "../src/proxy/proxy.ts";
import { randomUuids } from "../src/proxy/terms/random-id.ts";
import { spawnWorker, WorkerSet } from "../src/proxy/workers/index.ts";

const [discoveryAddress = "", workersText = "1"] = process.argv.slice(2);
const workers = Number(workersText);
// Return unused memory to the system as in src/cmd/proxy.ts.
giveBackIdleMemory(workers > 1 ? unhurriedShare : undefined);

const [admin, stats, readiness, envoyStats] = await Promise.all(
  Array.from({ length: 4 }, async () => await freePort()),
);
const env = {
  PROXY_CONFIG: `discoveryAddress: ${discoveryAddress}\n`,
  POD_NAME: "bench-1",
  POD_NAMESPACE: "bench",
  SERVICE_ACCOUNT: "bench",
  INSTANCE_IP: "127.0.0.1",
  ADMIN_PORT: String(admin),
  STATS_PORT: String(stats),
  READINESS_PORT: String(readiness),
  ENVOY_STATS_PORT: String(envoyStats),
};
const proxy = new Proxy({
  settings: readSettings({ env, args: ["proxy", "router"], version: "bench", labelsFile: undefined }),
  authority: new FakeCertificateAuthority(),
  listen: listenTcp,
  resolve: () => Promise.resolve({ addresses: ["127.0.0.1"] }),
  readFile: async (path) => await readFile(path, "utf8"),
  newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
  log: silentLogger,
  clock: systemClock,
  random: seededRandom(3),
  quit: () => undefined,
  ...(workers > 1 ? { serve: (data) => new WorkerSet({ count: workers, spawn: spawnWorker, data }) } : {}),
});
await proxy.run(new ShutdownController());

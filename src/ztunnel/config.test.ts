import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { describeConfig, logLevelWarning, readConfig, readWorkerThreads } from "./config.ts";

test("the logged configuration is YAML with upstream's keys", () => {
  const config = readConfig(
    {
      XDS_ADDRESS: "https://istiod-1-18-1.istio-system.svc:15012",
      NODE_NAME: "ambient-worker2",
      INSTANCE_IP: "10.244.1.40",
      ISTIO_META_NOTE: "a: b",
    },
    "1.18.0-alpha.0",
    ["proxy", "ztunnel"],
  );
  const read = parse(describeConfig(config), {
    customTags: [{ tag: "!File", resolve: (value: string) => `file ${value}` }],
  }) as Record<string, unknown>;
  assert.deepEqual(
    [
      read["connection_window_size"],
      read["frame_size"],
      read["admin_addr"],
      read["stats_addr"],
      read["local_node"],
      read["local_ip"],
      read["proxy_args"],
    ],
    [16_777_216, 1_048_576, "127.0.0.1:15000", "[::]:15020", "ambient-worker2", "10.244.1.40", "proxy ztunnel"],
  );
  assert.deepEqual(
    [read["xds_address"], read["ca_address"]],
    ["https://istiod-1-18-1.istio-system.svc:15012", "https://istiod-1-18-1.istio-system.svc:15012"],
  );
  assert.equal(read["xds_root_cert"], "file ./var/run/secrets/istio/root-cert.pem");
  assert.deepEqual(read["proxy_metadata"], { NOTE: "a: b", ISTIO_VERSION: "1.18.0-alpha.0" });
  assert.deepEqual(read["termination_grace_period"], { secs: 5, nanos: 0 });
});

test("keepalive has upstream's variables and defaults", () => {
  const read = (env: Record<string, string>) => readConfig(env, "1", []).keepalive;
  assert.deepEqual(read({}), { timeSeconds: 180, intervalSeconds: 180, probes: 9 });
  assert.deepEqual(
    read({ KEEPALIVE_TIME: "1m", KEEPALIVE_INTERVAL: "10s", KEEPALIVE_RETRIES: "3", USER_TIMEOUT_ENABLED: "true" }),
    { timeSeconds: 60, intervalSeconds: 10, probes: 3, userTimeoutSeconds: 90 },
  );
  assert.equal(read({ KEEPALIVE_ENABLED: "false" }), undefined);
});

test("the environment limits the TLS of HBONE, and allows TLS 1.2", () => {
  const read = (env: Record<string, string>) => readConfig(env, "1", []).handshakes;
  assert.deepEqual(read({}), { compliance: undefined, allowsTls12: false });
  assert.deepEqual(read({ COMPLIANCE_POLICY: "pqc" }), { compliance: "pqc", allowsTls12: false });
  assert.deepEqual(read({ TLS12_ENABLED: "true" }), { compliance: undefined, allowsTls12: true });
});

test("the error for an invalid value names its variable", () => {
  assert.throws(() => readConfig({ PROXY_MODE: "other" }, "1", []), /PROXY_MODE must be shared or dedicated/);
  assert.throws(() => readConfig({ SECRET_TTL: "soon" }, "1", []), /SECRET_TTL must be a duration/);
  assert.throws(() => readConfig({ COMPLIANCE_POLICY: "pqs" }, "1", []), /COMPLIANCE_POLICY must be .* got "pqs"/);
  assert.throws(() => readConfig({ PROXY_MODE: "dedicated" }, "1", []), /PROXY_WORKLOAD_INFO must be/);
  assert.throws(() => readConfig({ TLS12_ENABLED: "maybe" }, "1", []), /TLS12_ENABLED must be true or false/);
  assert.throws(() => readConfig({ STATS_PORT: "-1" }, "1", []), /STATS_PORT must be a port from 0 to 65535, got "-1"/);
  assert.throws(() => readConfig({ ADMIN_PORT: "70000" }, "1", []), /ADMIN_PORT must be a port .* got "70000"/);
  assert.throws(() => readConfig({ KEEPALIVE_RETRIES: "-1" }, "1", []), /KEEPALIVE_RETRIES must be a whole number/);
  assert.throws(() => readConfig({ PACKET_MARK: "-1" }, "1", []), /PACKET_MARK must be a whole number/);
});

test("the ztunnel's own pod is known in shared mode, if the environment names it", () => {
  const named = { POD_NAMESPACE: "istio-system", POD_NAME: "ztunnel-x", SERVICE_ACCOUNT: "ztunnel" };
  assert.deepEqual(readConfig(named, "1", []).ownWorkload, {
    namespace: "istio-system",
    name: "ztunnel-x",
    serviceAccount: "ztunnel",
  });
  assert.equal(readConfig({ ...named, SERVICE_ACCOUNT: "" }, "1", []).ownWorkload, undefined);
  const dedicated = { ...named, PROXY_MODE: "dedicated", PROXY_WORKLOAD_INFO: "default/client/client" };
  assert.equal(readConfig(dedicated, "1", []).ownWorkload, undefined);
});

const machine = { cores: 8, maxDescriptors: 1_048_576 };

for (const [value, limit, count] of [
  ["", "2", 1],
  ["1", "", 1],
  ["3", "", 3],
  ["0", "", 8],
  ["50%", "", 4],
  ["50%", "3", 2],
  ["1%", "2", 1],
  ["100%", "0", 8],
  ["12.5%", "", 1],
] as const)
  test(`ZTUNNEL_WORKER_THREADS "${value}" under ZTUNNEL_CPU_LIMIT "${limit}" gives ${count}`, () => {
    const env = { ZTUNNEL_WORKER_THREADS: value, ZTUNNEL_CPU_LIMIT: limit };
    assert.deepEqual(readWorkerThreads(env, machine), { count });
    assert.match(describeConfig(readConfig(env, "1", [], count)), new RegExp(`^num_worker_threads: ${count}$`, "m"));
  });

for (const [value, count, words] of [
  ["-1", 1, /ZTUNNEL_WORKER_THREADS must be a whole number, 0 for one worker per core, got "-1"; using one worker/],
  ["two", 1, /ZTUNNEL_WORKER_THREADS must be a whole number.*got "two"/],
  ["1000", 8, /ZTUNNEL_WORKER_THREADS "1000" is more than this machine's 8 core\(s\); using 8/],
  ["0%", 1, /or a percentage above 0 and up to 100, got "0%": one worker serves/],
  ["101%", 1, /got "101%"/],
  ["half%", 1, /got "half%"/],
] as const)
  test(`ZTUNNEL_WORKER_THREADS "${value}" gives ${count}, and the warning says why`, () => {
    const result = readWorkerThreads({ ZTUNNEL_WORKER_THREADS: value }, machine);
    assert.equal(result.count, count);
    assert.match(result.warning ?? "", words);
  });

test("a log level that does not exist is a warning, and off leaves only errors", () => {
  assert.deepEqual([{}, { RUST_LOG: "info,access=debug" }, { RUST_LOG: "access=debug" }].map(logLevelWarning), [
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(
    logLevelWarning({ RUST_LOG: "verbose" }),
    'RUST_LOG must be one of trace, debug, info, warn, error, off, got "verbose": info applies',
  );
  assert.match(logLevelWarning({ LOG_LEVEL: "loud" }) ?? "", /^LOG_LEVEL must be/);
  assert.deepEqual(
    ["off", "verbose", "debug"].map((level) => readConfig({ RUST_LOG: level }, "1", []).logLevel),
    ["error", "info", "debug"],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { readControlPlaneSettings, unknownArguments } from "./control-plane-options.ts";

test("arguments that neither Serin nor istiod knows are reported, and istiod's are not", () => {
  const chart = [
    "discovery",
    "--monitoringAddr=:15014",
    "--log_output_level=default:info",
    "--domain",
    "cluster.local",
    "--keepaliveMaxServerConnectionAge",
    "30m",
  ];
  assert.deepEqual(unknownArguments(chart), []);
  assert.deepEqual(unknownArguments(["bogus", "--shadow", "--httpAdr=:1", "--domain=x", "stray", "-x"]), [
    "bogus",
    "--httpAdr=:1",
    "stray",
    "-x",
  ]);
});

test("the argument of upstream's charts bounds the age of connections, 0 means no bound, and nonsense is refused", () => {
  const read = (...args: readonly string[]) => readControlPlaneSettings(args, {}, "1").maxConnectionAgeMs;
  const flag = "--keepaliveMaxServerConnectionAge";
  assert.deepEqual(
    [read(), read(flag, "30m"), read(`${flag}=90s`), read(flag, "0s")],
    [undefined, 1_800_000, 90_000, undefined],
  );
  for (const wrong of ["soon", "-30m", "1ms", ""])
    assert.throws(() => read(`${flag}=${wrong}`), new RegExp(`must be at least 1s, or 0 for no limit, got "${wrong}"`));
});

test("upstream's variable bounds requests to both ports of discovery, and a bound too small for proxies is refused", () => {
  const read = (value: string) =>
    readControlPlaneSettings([], { ISTIO_GPRC_MAXRECVMSGSIZE: value }, "1").maxRequestBytes;
  assert.deepEqual([read(""), read("33554432")], [undefined, 33_554_432]);
  for (const wrong of ["0", "4194.5", "32MiB", "-1"])
    assert.throws(() => read(wrong), /ISTIO_GPRC_MAXRECVMSGSIZE must be/);
});

test("a list of blocked networks that cannot be read is refused, so that no network stays open by mistake", () => {
  const read = (value: string) =>
    readControlPlaneSettings([], { BLOCKED_CIDRS_IN_JWKS_URIS: value }, "1.0.0").blockedKeySetNetworks;
  assert.equal(read("")?.length, 0);
  assert.deepEqual(
    read("10.0.0.0/8, fd00::/8,192.168.1.1")?.map(({ length }) => length),
    [8, 8, 32],
  );
  for (const wrong of ["10.0.0.0/33", "10.0.0/8", "internal"])
    assert.throws(() => read(`127.0.0.0/8,${wrong}`), new RegExp(`got "${wrong}"`));
});

test("upstream's variables switch sessions on and rename their labels, and an empty name means no label", () => {
  const read = (env: Readonly<Record<string, string>>) => readControlPlaneSettings([], env, "1").sessions;
  const labels = {
    cookieLabel: "istio.io/persistent-session",
    headerLabel: "istio.io/persistent-session-header",
    drainingLabel: "istio.io/draining",
  };
  assert.deepEqual(read({}), { enabled: false, ...labels });
  assert.deepEqual(
    read({
      PILOT_ENABLE_PERSISTENT_SESSION_FILTER: "true",
      PILOT_PERSISTENT_SESSION_LABEL: "a.test/session",
      PILOT_PERSISTENT_SESSION_HEADER_LABEL: "",
      PILOT_DRAINING_LABEL: "a.test/drains",
    }),
    { enabled: true, cookieLabel: "a.test/session", headerLabel: "", drainingLabel: "a.test/drains" },
  );
});

test("upstream's variables say when proxies get endpoints that are not ready", () => {
  const read = (env: Readonly<Record<string, string>>) => readControlPlaneSettings([], env, "1").unreadyEndpoints;
  const [automatic, every] = ["PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS", "PILOT_SEND_UNHEALTHY_ENDPOINTS"];
  assert.deepEqual(
    [read({}), read({ [automatic]: "false" }), read({ [automatic]: "false", [every]: "true" })],
    ["automatic", "never", "always"],
  );
});

test("a range of automatic addresses that is none, or of the other family, is refused at the start", () => {
  const read = (env: Readonly<Record<string, string>>) => readControlPlaneSettings([], env, "1").addressRanges;
  assert.deepEqual(read({ PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: "240.0.0.0/8" }), ["240.0.0.0/8", "2001:2::/48"]);
  const faults = [
    ["PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", "maybe", "240.240.0.0/16"],
    ["PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", "240.0.0.1", "240.240.0.0/16"],
    ["PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", "240.0.0.0/8", "2001:2::/48"],
  ] as const;
  for (const [name, value, example] of faults)
    assert.throws(() => read({ [name]: value }), {
      message: `${name} must be a range of addresses such as ${example}, got "${value}"`,
    });
});

test("variables say which namespaces' objects, and whether Gateways, count as gateways into networks", () => {
  const read = (env: Readonly<Record<string, string>>) =>
    readControlPlaneSettings([], env, "1").clusters.networkGateways;
  assert.deepEqual(read({}), { discoversResources: true, namespaces: undefined });
  assert.deepEqual(
    read({
      PILOT_NETWORK_GATEWAY_NAMESPACES: "istio-system, edge",
      PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API: "false",
    }),
    { discoversResources: false, namespaces: ["istio-system", "edge"] },
  );
});

import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type {
  ConfigMap,
  Container,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Secret,
  Volume,
} from "../../../api/kubernetes/index.ts";
import { systemClock } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { containerEnvironment, expandVariables } from "../containers/container-environment.ts";
import { PodVolumes, type IssuedToken, type VolumeSources } from "./pod-volumes.ts";

const roots: string[] = [];
after(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

function setUp(
  volumes: Volume[],
  objects: {
    maps?: Record<string, ConfigMap>;
    secrets?: Record<string, Secret>;
    claim?: PersistentVolumeClaim;
    volume?: PersistentVolume;
  } = {},
): { volumes: PodVolumes; sources: VolumeSources; root: string; tokens: string[] } {
  const root = mkdtempSync(join(tmpdir(), "serin-volumes-"));
  roots.push(root);
  const pod: Pod = {
    metadata: { name: "p", namespace: "n", uid: "u", labels: { app: "web" } },
    spec: { containers: [], volumes },
  };
  const tokens: string[] = [];
  const sources: VolumeSources = {
    pod,
    nodeName: "node",
    podIp: "10.244.1.2",
    hostIp: "172.18.0.3",
    configMap: (name) => objects.maps?.[name],
    secret: (name) => objects.secrets?.[name],
    storage: { claim: () => objects.claim, volume: () => objects.volume },
    services: () => [
      {
        metadata: { name: "my-db", namespace: "n" },
        spec: { clusterIP: "10.96.0.7", ports: [{ name: "sql", port: 5432 }] },
      },
    ],
    token: async ({ audience, expirationSeconds }) => {
      tokens.push(audience ?? "");
      return await Promise.resolve({ token: `t${tokens.length}`, expiresAtMs: Date.now() + expirationSeconds * 1_000 });
    },
  };
  return {
    volumes: new PodVolumes({
      memoryDirectory: join(root, "memory"),
      diskDirectory: join(root, "host/disk"),
      hostRoot: join(root, "host"),
      clock: systemClock,
    }),
    sources,
    root,
    tokens,
  };
}

test("a projected volume holds token, certificate and namespace, and requests the token once", async () => {
  const volume: Volume = {
    name: "access",
    projected: {
      sources: [
        { serviceAccountToken: { path: "token", audience: "istio-ca", expirationSeconds: 600 } },
        { configMap: { name: "ca", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        { downwardAPI: { items: [{ path: "namespace", fieldRef: { fieldPath: "metadata.namespace" } }] } },
      ],
    },
  };
  const { volumes, sources, tokens } = setUp([volume], { maps: { ca: { metadata: {}, data: { "ca.crt": "PEM" } } } });
  await volumes.prepare(sources);
  await volumes.prepare(sources);
  const read = (name: string): string => readFileSync(join(volumes.pathOf(volume), name), "utf8");
  assert.deepEqual([read("token"), read("ca.crt"), read("namespace")], ["t1", "PEM", "n"]);
  assert.deepEqual(tokens, ["istio-ca"]);
  assert.ok((volumes.renewAtMs ?? 0) < Date.now() + 600_000);
});

test("an update of a volume removes its own old files, and nothing to which a container has turned a link", async () => {
  const volume: Volume = { name: "c", configMap: { name: "c" } };
  const { volumes, sources, root } = setUp([volume], { maps: { c: { metadata: {}, data: { mode: "new" } } } });
  mkdirSync(join(root, "outside"));
  mkdirSync(volumes.pathOf(volume), { recursive: true });
  symlinkSync("../../outside", join(volumes.pathOf(volume), "..data"));
  await volumes.prepare(sources);
  assert.equal(readFileSync(join(volumes.pathOf(volume), "mode"), "utf8"), "new");
  assert.ok(existsSync(join(root, "outside")));
});

interface HeldToken {
  readonly volumes: PodVolumes;
  readonly clock: HandClock;
  readonly prepare: () => Promise<void>;
  readonly written: () => string;
  /** The requests for tokens. The test answers them. */
  readonly requests: PromiseWithResolvers<IssuedToken>[];
  /** An entry for each renewal that has succeeded or failed. */
  readonly renewals: true[];
}

/** A pod with a token. The clock starts at 0, the token expires at 1,000 s and is due for renewal at 800 s. */
async function withToken(): Promise<HeldToken> {
  const serviceAccountToken = { path: "token", expirationSeconds: 1_000 };
  const { sources, root } = setUp([{ name: "api", projected: { sources: [{ serviceAccountToken }] } }]);
  const [clock, requests, renewals]: [HandClock, HeldToken["requests"], true[]] = [new HandClock(), [], []];
  const volumes = new PodVolumes({
    memoryDirectory: join(root, "memory"),
    diskDirectory: join(root, "host/disk"),
    hostRoot: join(root, "host"),
    clock,
    onRenewal: () => renewals.push(true),
  });
  const token = async (): Promise<IssuedToken> => {
    const request = Promise.withResolvers<IssuedToken>();
    requests.push(request);
    return await request.promise;
  };
  const prepare = async (): Promise<void> => await volumes.prepare({ ...sources, token });
  const first = prepare();
  requests[0]?.resolve({ token: "first", expiresAtMs: 1_000_000 });
  await first;
  const written = (): string => readFileSync(join(root, "memory/api/token"), "utf8");
  return { volumes, clock, prepare, written, requests, renewals };
}

test("a token that is still valid serves while the server does not answer the request for the next one", async () => {
  const { volumes, clock, prepare, written, requests, renewals } = await withToken();
  clock.pass(800_000);
  await prepare();
  await prepare();
  assert.deepEqual([written(), requests.length, volumes.renewAtMs], ["first", 2, 1_000_000]);
  requests[1]?.resolve({ token: "second", expiresAtMs: 1_800_000 });
  await setImmediate();
  assert.equal(renewals.length, 1);
  await prepare();
  assert.deepEqual([written(), requests.length, volumes.renewAtMs], ["second", 2, 1_600_000]);
});

test("a refused renewal is repeated after a moment, and an expired token is waited for", async () => {
  const { volumes, clock, prepare, written, requests, renewals } = await withToken();
  clock.pass(800_000);
  await prepare();
  requests[1]?.reject(new Error("the API server is away"));
  await setImmediate();
  assert.deepEqual([renewals.length, volumes.renewAtMs], [1, 800_500]);
  clock.pass(500);
  await prepare();
  assert.equal(requests.length, 3);
  clock.pass(199_500);
  const waiting = prepare();
  requests[3]?.resolve({ token: "fourth", expiresAtMs: 2_000_000 });
  await waiting;
  requests[2]?.reject(new Error("the API server was away"));
  await setImmediate();
  assert.deepEqual([written(), volumes.renewAtMs], ["fourth", 1_800_000]);
});

test("a token's path leads out of no volume", async () => {
  for (const path of ["../../../outside", "/outside", "a/../../../outside"]) {
    const sources = [{ serviceAccountToken: { path } }];
    const { volumes, sources: given, root } = setUp([{ name: "t", projected: { sources } }]);
    const prepared = await volumes.prepare(given).then(
      () => "prepared",
      (error: unknown) => String(error),
    );
    assert.equal(existsSync(join(root, "outside")), false, path);
    assert.match(prepared, /points outside the volume/);
  }
});

test("a changed config map is replaced atomically, and removed keys disappear", async () => {
  const volume: Volume = { name: "config", configMap: { name: "c" } };
  const maps: Record<string, ConfigMap> = { c: { metadata: {}, data: { a: "1", b: "2" } } };
  const { volumes, sources } = setUp([volume], { maps });
  await volumes.prepare(sources);
  const path = volumes.pathOf(volume);
  const generation = readlinkSync(join(path, "..data"));
  maps["c"] = { metadata: {}, data: { a: "3" } };
  await volumes.prepare(sources);
  assert.equal(readFileSync(join(path, "a"), "utf8"), "3");
  assert.equal(existsSync(join(path, "b")), false);
  assert.notEqual(readlinkSync(join(path, "..data")), generation);
  assert.equal(existsSync(join(path, generation)), false);
});

test("the error for a missing source names it, and an optional source is skipped", async () => {
  const missing = setUp([{ name: "s", secret: { secretName: "gone" } }]);
  await assert.rejects(missing.volumes.prepare(missing.sources), /secret "gone" not found/);
  const optional = setUp([{ name: "s", secret: { secretName: "gone", optional: true } }]);
  await optional.volumes.prepare(optional.sources);
});

test("a hostPath stays below the node's directory, even through links", async () => {
  const { volumes, sources, root } = setUp([
    { name: "h", hostPath: { path: "/var/run/x", type: "DirectoryOrCreate" } },
  ]);
  await volumes.prepare(sources);
  assert.ok(existsSync(join(root, "host/var/run/x")));
  assert.equal(volumes.pathOf({ name: "up", hostPath: { path: "/../../etc" } }), join(root, "host/etc"));
  mkdirSync(join(root, "host/var/lib"), { recursive: true });
  symlinkSync("/etc", join(root, "host/var/lib/link"));
  assert.throws(
    () => volumes.pathOf({ name: "bad", hostPath: { path: "/var/lib/link/passwd" } }),
    /points outside the node's directory/,
  );
  assert.equal(volumes.pathOf({ name: "proc", hostPath: { path: "/proc" } }), "/proc");
});

test("a link that a pod left in the host root leads no emptyDir, hostPath or claim out of it", async () => {
  const { volumes, sources, root } = setUp([{ name: "e", emptyDir: {} }]);
  mkdirSync(join(root, "host"));
  mkdirSync(join(root, "machine"), { mode: 0o700 });
  symlinkSync("../machine", join(root, "host/disk"));
  await assert.rejects(volumes.prepare(sources), /a link or another file stands where the node/);
  assert.equal(existsSync(join(root, "machine/empty-dir")), false);
});

test("a link inside the host root is resolved before a container mounts it", () => {
  const { volumes, root } = setUp([]);
  mkdirSync(join(root, "host/data/one"), { recursive: true });
  symlinkSync("data", join(root, "host/link"));
  assert.deepEqual(volumes.placeOf({ name: "h", hostPath: { path: "/link/one/new" } }), {
    root: join(root, "host"),
    path: join(root, "host/data/one/new"),
  });
});

test("a hostPath into the kernel's trees creates nothing, and does not leave them by a link", async () => {
  const { volumes, root } = setUp([]);
  const target = join(root, "made");
  assert.throws(
    () => volumes.placeOf({ name: "h", hostPath: { path: `/proc/self/root${target}`, type: "FileOrCreate" } }),
    /points outside the node's directory/,
  );
  const missing = setUp([{ name: "h", hostPath: { path: "/proc/serin-test-missing", type: "DirectoryOrCreate" } }]);
  await assert.rejects(missing.volumes.prepare(missing.sources), /hostPath type check failed/);
});

test("a hostPath reaches devices of /dev, but no terminals, shared memory or queues of the lab's user", () => {
  const { volumes } = setUp([]);
  assert.deepEqual(volumes.placeOf({ name: "h", hostPath: { path: "/dev/null" } }), { root: "/", path: "/dev/null" });
  const tunnels = "/dev/net/tun";
  if (existsSync(tunnels)) assert.equal(volumes.placeOf({ name: "h", hostPath: { path: tunnels } }).path, tunnels);
  const others = ["/dev", "/dev/", "/dev/shm", "/dev/pts", "/dev/pts/ptmx", "/dev/serin-test-missing"];
  for (const path of [...others, "/dev/tty", "/dev/ptmx", "/dev/console", "/dev/tty1"])
    assert.throws(() => volumes.placeOf({ name: "h", hostPath: { path } }), /hostPath .* of volume "h"/, path);
});

test("a container's environment has services, references and expanded values", () => {
  const { sources } = setUp([], { maps: { c: { metadata: {}, data: { mode: "fast" } } } });
  const environment = containerEnvironment(
    {
      name: "a",
      resources: { limits: { cpu: "1500m", memory: "64Mi" } },
      env: [
        { name: "MODE", valueFrom: { configMapKeyRef: { name: "c", key: "mode" } } },
        { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
        { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } },
        { name: "URL", value: "http://$(MY_DB_SERVICE_HOST):$(MY_DB_SERVICE_PORT_SQL)/$(MODE)/$(NONE)/$$(MODE)" },
      ],
    },
    sources,
  );
  assert.equal(environment["URL"], "http://10.96.0.7:5432/fast/$(NONE)/$(MODE)");
  assert.deepEqual([environment["IP"], environment["CPU"]], ["10.244.1.2", "2"]);
  assert.equal(expandVariables("$(A)$", { A: "x" }), "x$");
  assert.throws(
    () =>
      containerEnvironment(
        { name: "a", env: [{ name: "X", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }] },
        sources,
      ),
    /secret "s" not found/,
  );
});

test("a container's environment takes names such as constructor and __proto__ as any other name", () => {
  const data = JSON.parse('{"__proto__":"from a map"}') as Record<string, string>;
  const { sources } = setUp([], {
    maps: { c: { metadata: {}, data } },
    secrets: { s: { metadata: {}, data: {} } },
  });
  const environmentOf = (container: Omit<Container, "name">): Record<string, string> =>
    containerEnvironment({ name: "a", ...container }, sources);
  const absent = { name: "X", key: "constructor" };
  for (const [valueFrom, message] of [
    [{ configMapKeyRef: { ...absent, name: "c" } }, "couldn't find key constructor in ConfigMap n/c"],
    [{ secretKeyRef: { ...absent, name: "s" } }, "couldn't find key constructor in Secret n/s"],
  ] as const)
    assert.throws(() => environmentOf({ env: [{ name: "X", valueFrom }] }), { message });
  const env = [
    { name: "A", valueFrom: { configMapKeyRef: { name: "c", key: "toString", optional: true } } },
    { name: "B", valueFrom: { fieldRef: { fieldPath: "metadata.annotations['valueOf']" } } },
    { name: "C", value: "$(constructor) $(__proto__)" },
  ];
  const found = environmentOf({ env });
  assert.deepEqual([found["A"], found["B"], found["C"]], [undefined, "", "$(constructor) $(__proto__)"]);
  const own = environmentOf({
    envFrom: [{ configMapRef: { name: "c" } }],
    env: [{ name: "C", value: "$(__proto__)" }],
  });
  assert.deepEqual([Object.hasOwn(own, "__proto__"), own["C"]], [true, "from a map"]);
});

test("a claim's directory is that of its volume and stays unchanged, and a path or a kind of volume that the lab does not mount is refused", async () => {
  const claim: PersistentVolumeClaim = {
    metadata: { name: "data", namespace: "n", uid: "c" },
    spec: { volumeName: "pv" },
    status: { phase: "Bound" },
  };
  const bound = (spec: PersistentVolume["spec"]): PersistentVolume => ({
    metadata: { name: "pv" },
    spec: { claimRef: { namespace: "n", name: "data", uid: "c" }, ...spec },
  });
  const volume: Volume = { name: "v", persistentVolumeClaim: { claimName: "data" } };
  const path = "/var/lib/serin/volumes/pv";
  const { volumes, sources, root } = setUp([volume], { claim, volume: bound({ hostPath: { path } }) });
  assert.throws(() => volumes.pathOf(volume), /not prepared yet/);
  await volumes.prepare(sources);
  assert.equal(volumes.pathOf(volume), join(root, "host", path));
  assert.equal(statSync(volumes.pathOf(volume)).mode & 0o777, 0o777);
  writeFileSync(join(volumes.pathOf(volume), "kept"), "yes");
  chmodSync(volumes.pathOf(volume), 0o700);
  await volumes.prepare(sources);
  assert.equal(readFileSync(join(volumes.pathOf(volume), "kept"), "utf8"), "yes");
  assert.equal(statSync(volumes.pathOf(volume)).mode & 0o777, 0o700);

  const refused = async (objects: Parameters<typeof setUp>[1], reason: RegExp): Promise<void> => {
    const other = setUp([volume], objects);
    await assert.rejects(other.volumes.prepare(other.sources), reason);
  };
  await refused({}, /persistentvolumeclaim "data" not found/);
  await refused({ claim: { ...claim, status: { phase: "Pending" } } }, /"data" is not bound/);
  await refused({ claim, volume: bound({ claimRef: { uid: "other" } }) }, /"data" is not bound/);
  await refused({ claim, volume: bound({}) }, /type that the lab does not support/);
  for (const outside of ["/proc/sys", "/srv/../dev", "/", "data"])
    await refused({ claim, volume: bound({ local: { path: outside } }) }, /not a directory for data/);
  const linked = setUp([volume], { claim, volume: bound({ hostPath: { path: "/link/data" } }) });
  mkdirSync(join(linked.root, "host"), { recursive: true });
  symlinkSync("/tmp", join(linked.root, "host/link"));
  await assert.rejects(linked.volumes.prepare(linked.sources), /points outside the node's directory/);
});

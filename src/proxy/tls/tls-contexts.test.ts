import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { rootCertificates } from "node:tls";
import { create, toBinary } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { WorkloadCertificate, XdsUpdate } from "../../dataplane/index.ts";
import { TestAuthority } from "../../net/testing/index.ts";
import { SecretSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { SecretStore } from "./secret-store.ts";
import { TlsContexts } from "./tls-contexts.ts";
import type { TlsSpec } from "./tls-spec.ts";

test("a connection whose roots can never exist fails at once, and they are not requested", async () => {
  const store = {
    certificate: () => undefined,
    roots: () => undefined,
    isInVain: () => true,
    trouble: () => "it has not come",
    changed: async () => await new Promise(() => undefined),
  } as unknown as SecretStore;
  const spec = { key: "k", certificates: [], roots: { kind: "sds", name: "invalid://-cacert" } } as unknown as TlsSpec;
  await assert.rejects(new TlsContexts(store).get(spec, 3_600_000), { code: "secret-missing" });
});

test("the mesh's roots wait for mounted revocation lists, and until it is known whether any are mounted", async () => {
  const [own, list] = ["root", await (await TestAuthority.create()).revoke("0a")];
  const certificate = {
    chainPem: "chain",
    privateKeyPem: "key",
    rootsPem: own,
    restrictions: [],
  } as unknown as WorkloadCertificate;
  const store = (readFile: (path: string) => Promise<string>): SecretStore =>
    new SecretStore({
      certificates: { peek: () => certificate, fetch: () => Promise.resolve(certificate) },
      identity: "spiffe://a/ns/b/sa/c",
      readFile,
      meshRevocationsFile: "/crl.pem",
      clock: systemClock,
      log: silentLogger,
    });
  const roots = { kind: "sds", name: "ROOTCA" } as const;
  const listed = store(() => Promise.resolve(list));
  assert.equal(listed.roots(roots), undefined, "whom the lists refuse must not be let in meanwhile");
  await listed.changed(AbortSignal.timeout(5000));
  assert.deepEqual(listed.roots(roots), { roots: own, restrictions: [], revocations: list });
  assert.equal(listed.roots(roots), listed.roots(roots), "the same object, as long as nothing changes");
  const absent = store(() => Promise.reject(Object.assign(new Error("no such file"), { code: "ENOENT" })));
  assert.equal(absent.roots(roots), undefined);
  await absent.changed(AbortSignal.timeout(5000));
  assert.equal(absent.roots(roots)?.revocations, undefined);
  assert.equal(absent.roots(roots)?.roots, own);
  const empty = store(() => Promise.resolve("\n"));
  assert.equal(empty.roots(roots), undefined);
  await empty.changed(AbortSignal.timeout(5000));
  assert.deepEqual(
    empty.roots(roots)?.revocations,
    undefined,
    "upstream's control plane keeps the file where it has no lists",
  );
  assert.equal(empty.roots(roots)?.roots, own);
});

test("lists of the mesh that cannot be used leave the last ones in force, and admit nobody if there were none", async () => {
  const authority = await TestAuthority.create();
  const good = await authority.revoke("0a");
  const certificate = { rootsPem: "root", restrictions: [] } as unknown as WorkloadCertificate;
  const lines: string[] = [];
  let text = "\u0030\u0082";
  const inDer = Buffer.from(good.replaceAll(/-----.*-----/g, ""), "base64");
  let nowMs = 0;
  const store = new SecretStore({
    certificates: { peek: () => certificate, fetch: () => Promise.resolve(certificate) },
    identity: "spiffe://a/ns/b/sa/c",
    readFile: () => Promise.resolve(text),
    meshRevocationsFile: "/crl.pem",
    clock: { ...systemClock, steadyMs: () => nowMs },
    log: {
      ...silentLogger,
      info: () => undefined,
      warn: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    },
  });
  const roots = { kind: "sds", name: "ROOTCA" } as const;
  const read = async (next: string) => {
    text = next;
    nowMs += 10_000;
    store.sweep(nowMs);
    await setImmediate();
    return store.roots(roots);
  };
  store.roots(roots);
  await setImmediate();
  assert.equal(store.roots(roots), undefined);
  assert.match(store.trouble(roots), /^\/crl\.pem: .*Failed to parse CRL/);
  assert.equal((await read(inDer.toString("latin1")))?.revocations, inDer.toString("latin1"));
  assert.equal((await read(good))?.revocations, good);
  for (const bad of ["nonsense", good.slice(0, 60), good + good.slice(0, 60), good.replace("\n", "\nAAAA")])
    assert.equal((await read(bad))?.revocations, good, bad);
  assert.equal(lines.length, 5, "each fault is logged once");
  assert.equal((await read(""))?.revocations, undefined, "an empty file revokes nothing");
});

test("a listener that waits for the mesh's roots may begin as soon as the file with revocation lists was read", async () => {
  const certificate = { rootsPem: "root", restrictions: [] } as unknown as WorkloadCertificate;
  const file = Promise.withResolvers<string>();
  const awaitedAtChange: (readonly string[])[] = [];
  const store = new SecretStore({
    certificates: { peek: () => certificate, fetch: () => Promise.resolve(certificate) },
    identity: "spiffe://a/ns/b/sa/c",
    readFile: () => file.promise,
    meshRevocationsFile: "/crl.pem",
    onChange: () => awaitedAtChange.push(contexts.awaited(spec)),
    clock: systemClock,
    log: silentLogger,
  });
  const contexts = new TlsContexts(store);
  const spec = {
    key: "a",
    certificates: [],
    roots: { kind: "sds", name: "ROOTCA" },
    ciphers: [],
  } as unknown as TlsSpec;
  assert.deepEqual(contexts.awaited(spec), ["ROOTCA"]);
  file.reject(Object.assign(new Error("no such file"), { code: "ENOENT" }));
  await setImmediate();
  assert.deepEqual(awaitedAtChange, [[]]);
});

test("a connection waits for a secret until the control plane says that it does not exist", async () => {
  const store = new SecretStore({
    certificates: { peek: () => undefined, fetch: async () => await new Promise(() => undefined) },
    identity: "spiffe://a/ns/b/sa/c",
    readFile: () => Promise.reject(new Error("no file")),
    clock: systemClock,
    log: silentLogger,
  });
  const contexts = new TlsContexts(store);
  const key = { kind: "sds", name: "kubernetes://key" } as const;
  const roots = { kind: "sds", name: "kubernetes://key-cacert" } as const;
  const serving = { key: "serving", certificates: [key], ciphers: [] } as unknown as TlsSpec;
  const dialing = { key: "dialing", certificates: [], roots, ciphers: [] } as unknown as TlsSpec;
  const answer = (removed: readonly string[], resources: XdsUpdate["resources"] = []): void =>
    void store.subscription().apply({ typeUrl: typeUrls.secret, resources, removed });
  const failures: string[] = [];
  const first = contexts.get(serving, 3_600_000).catch((error: unknown) => void failures.push(String(error)));
  await setImmediate();
  assert.deepEqual(failures, [], "nothing is known of the secret yet");
  answer([key.name, roots.name]);
  await first;
  assert.match(failures[0] ?? "", /no secret kubernetes:\/\/key for this proxy/);
  for (const spec of [serving, dialing])
    await assert.rejects(contexts.get(spec, 3_600_000), { code: "secret-missing" }, spec.key);
  // A secret that was missing is used as soon as it arrives.
  const secret = create(SecretSchema, {
    name: roots.name,
    type: {
      case: "validationContext",
      value: { trustedCa: { specifier: { case: "inlineString", value: rootCertificates[0] ?? "" } } },
    },
  });
  answer(
    [],
    [{ name: roots.name, version: "1", aliases: [], typeUrl: typeUrls.secret, body: toBinary(SecretSchema, secret) }],
  );
  assert.notEqual(await contexts.get(dialing, 3_600_000), undefined);
});

import assert from "node:assert/strict";
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { createCertificateRequest } from "./certificate-request.ts";
import { CertificateManager } from "./certificate-manager.ts";
import { derOfPem, DerReader, derTags, readSigned } from "../../x509/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { addCertificateMetrics } from "./certificate-metrics.ts";
import { FakeCertificateAuthority } from "./fake-certificate-authority.ts";
import { followRoots } from "./root-follower.ts";
import { workloadCertificate } from "./workload-certificate.ts";

const identity = "spiffe://cluster.local/ns/default/sa/sleep";

test("a request is signed by its own key, and names only the identity", async () => {
  const { csrPem } = await createCertificateRequest(identity);
  const { signed, signature } = readSigned(derOfPem(csrPem, /^CERTIFICATE REQUEST$/) ?? assert.fail());
  const info = new DerReader(signed.contents);
  info.next(derTags.integer);
  const subject = info.next(derTags.sequence);
  const key = createPublicKey({ key: info.next(derTags.sequence).encoded, format: "der", type: "spki" });
  assert.equal(verify("sha256", signed.encoded, key, signature), true);
  assert.equal(subject.contents.length, 0);
  assert.ok(info.next(derTags.context0).contents.includes(identity));
});

test("the fake CA's leaf chains to its root, and a leaf for another identity is refused", async () => {
  const authority = new FakeCertificateAuthority();
  const { csrPem, privateKeyPem } = await createCertificateRequest(identity);
  const chain = await authority.sign({ identity, csrPem, validitySeconds: 3600 });
  const [leaf, root] = chain.map((text) => new X509Certificate(text));
  assert.equal(leaf?.verify(root?.publicKey ?? assert.fail()), true);
  assert.equal(root?.ca, true);
  assert.equal(leaf?.subjectAltName, `URI:${identity}`);
  assert.equal(workloadCertificate(identity, privateKeyPem, chain).rootsPem, authority.rootPem);
  assert.throws(() => workloadCertificate(`${identity}2`, privateKeyPem, chain), /expected spiffe:.*sleep2/);
});

test("concurrent fetches share one request, failures are repeated, and certificates rotate at half their lifetime", async () => {
  const fake = new FakeCertificateAuthority();
  const validities: number[] = [];
  const slept: number[] = [];
  let wake: () => void = () => undefined;
  const clock = {
    ...systemClock,
    sleep: async (ms: number) => {
      slept.push(ms);
      if (ms > 20_000) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
  const manager = new CertificateManager({
    authority: {
      sign: (request) => {
        validities.push(request.validitySeconds);
        return validities.length === 1 ? Promise.reject(new Error("not yet")) : fake.sign(request);
      },
    },
    log: silentLogger,
    validitySeconds: 3600,
    clock,
    random: () => 0.5,
  });
  const [first, second] = await Promise.all([manager.fetch(identity), manager.fetch(identity)]);
  assert.equal(first, second);
  assert.equal(validities.length, 2);
  assert.equal(slept[0], 100);
  assert.ok(Math.abs((slept[1] ?? 0) - 1_740_000) < 10_000, `rotates after ${slept[1]} ms`);
  wake();
  await until(() => manager.peek(identity) !== first);
  assert.equal(validities.length, 3);
  const never = new AbortController();
  const waiting = manager.fetch(`${identity}-x`, never.signal);
  manager.forget(`${identity}-x`);
  await assert.rejects(waiting, /no longer needed/);
  manager.close();
});

test("a CA that was unreachable gets a request at once for a new waiter, and then at least every two seconds", async () => {
  const fake = new FakeCertificateAuthority();
  const slept: number[] = [];
  let steadyMs = 0;
  let backAtMs = Infinity;
  let woken = 0;
  const asleep = new Set<() => void>();
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        slept.push(ms);
        const wake = (): void => {
          asleep.delete(wake);
          steadyMs += ms;
          resolve();
        };
        asleep.add(wake);
        signal?.addEventListener("abort", () => {
          asleep.delete(wake);
          woken += 1;
          resolve();
        });
      }),
  };
  const manager = new CertificateManager({
    authority: {
      sign: async (request) => {
        if (steadyMs < backAtMs) throw new Error("connect ECONNREFUSED");
        return await fake.sign(request);
      },
    },
    log: silentLogger,
    clock,
    random: () => 1,
  });
  const nextSleep = async (): Promise<void> => {
    const before = slept.length;
    for (const wake of asleep) wake();
    await until(() => slept.length !== before);
  };
  manager.prefetch(identity);
  await until(() => slept.length !== 0);
  for (let tries = 0; tries < 9; tries += 1) await nextSleep();
  // No caller waits for this certificate, so the attempts become rare.
  assert.equal(slept.at(-1), 15_000);
  const before = slept.length;
  const waiting = manager.fetch(identity);
  await until(() => slept.length !== before);
  assert.equal(woken, 1);
  for (let tries = 0; tries < 9; tries += 1) await nextSleep();
  assert.ok(
    slept.slice(before).every((ms) => ms <= 2_000),
    `slept ${slept.slice(before).join(", ")} ms`,
  );
  backAtMs = steadyMs;
  await nextSleep();
  assert.equal((await waiting).identity, identity);
  assert.ok(steadyMs - backAtMs <= 2_000, `${steadyMs - backAtMs} ms after the CA came back`);
  manager.close();
});

test("when the mesh's roots change, certificates are renewed until they match, and metrics show their roots", async () => {
  const [old, next] = [new FakeCertificateAuthority(), new FakeCertificateAuthority()];
  const fingerprint = (pem: string): string =>
    new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
  let steadyMs = 0;
  const clock = {
    ...systemClock,
    steadyMs: () => steadyMs,
    sleep: async (ms: number, signal?: AbortSignal) => {
      steadyMs += ms > 100_000 ? 0 : ms;
      // A long wait is one for a rotation, which must not happen during this test.
      if (ms > 100_000) await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
      else await pass();
    },
  };
  // The clock stands still while requests are under way. Otherwise all attempts could be over before the first answer.
  const requests = new Set<object>();
  const pass = async (): Promise<void> => {
    do await systemClock.sleep(2);
    while (requests.size > 0);
  };
  let behind = 2;
  let file = old.rootPem;
  const answer = async (request: Parameters<FakeCertificateAuthority["sign"]>[0]): Promise<readonly string[]> => {
    // At first, the control plane that answers does not know the new root yet.
    if (file === old.rootPem || behind-- > 0) return await old.sign(request);
    const [leaf = ""] = await next.sign(request);
    return [leaf, next.rootPem + old.rootPem];
  };
  const sign: typeof answer = async (request) => {
    requests.add(request);
    return await answer(request).finally(() => requests.delete(request));
  };
  const manager = new CertificateManager({ authority: { sign }, log: silentLogger, clock, random: () => 0 });
  const registry = new MetricsRegistry();
  addCertificateMetrics(registry, manager);
  const value = (name: string, root: string): number | undefined => {
    const line = renderPrometheus(registry)
      .split("\n")
      .find((one) => one.startsWith(`${name}{root="${fingerprint(root)}"}`));
    return line === undefined ? undefined : Number(line.split(" ")[1]);
  };
  const before = await manager.fetch(identity);
  const stop = new AbortController();
  const following = followRoots(
    { path: "roots", readFile: () => Promise.resolve(file), certificates: manager, clock, log: silentLogger },
    stop.signal,
  );
  assert.deepEqual(
    [
      value("serin_certificates", old.rootPem),
      value("serin_trusted_roots", old.rootPem),
      value("serin_trusted_roots", next.rootPem),
    ],
    [1, 1, undefined],
  );
  file = next.rootPem + old.rootPem;
  while (manager.peek(identity)?.rootsPem === before.rootsPem) await pass();
  assert.ok(behind < 0);
  assert.deepEqual(
    [
      value("serin_certificates", old.rootPem),
      value("serin_certificates", next.rootPem),
      value("serin_trusted_roots", old.rootPem),
      value("serin_trusted_roots", next.rootPem),
    ],
    [0, 1, 1, 1],
  );
  stop.abort();
  manager.close();
  await following;
});

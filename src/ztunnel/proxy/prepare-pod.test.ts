import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { WorkloadCertificate } from "../../dataplane/tunnels/index.ts";
import type { Workload } from "../state/model.ts";
import { preparePod, type PodSources } from "./prepare-pod.ts";

const info = { name: "web-1", namespace: "shop", serviceAccount: "web" };
const workload = { ...info, trustDomain: "cluster.local" } as unknown as Workload;

class FakeSources implements PodSources {
  readonly clock = new HandClock();
  readonly used: string[] = [];
  readonly certificate = Promise.withResolvers<WorkloadCertificate>();
  isKnown = true;
  readonly state = {
    waitForPod: async (): Promise<Workload | undefined> => {
      if (!this.isKnown) await this.clock.sleep();
      return this.isKnown ? workload : undefined;
    },
  };
  readonly identities = {
    use: (identity: string): Disposable => {
      this.used.push(identity);
      return { [Symbol.dispose]: () => void this.used.pop() };
    },
  };
  readonly certificates = {
    fetch: async (_: string, signal: AbortSignal): Promise<WorkloadCertificate> => {
      const gaveUp = Promise.withResolvers<WorkloadCertificate>();
      signal.addEventListener("abort", () => gaveUp.reject(new Error("the CA does not answer")));
      return await Promise.race([this.certificate.promise, gaveUp.promise]);
    },
  };
}

const coded = (code: string) => (error: unknown) => error instanceof SerinError && error.code === code;

test("a pod is ready when its certificate is there, which is kept until the pod was added", async () => {
  const sources = new FakeSources();
  const preparing = preparePod(info, sources);
  await Promise.resolve();
  sources.certificate.resolve({} as WorkloadCertificate);
  const prepared = await preparing;
  assert.deepEqual(sources.used, ["spiffe://cluster.local/ns/shop/sa/web"]);
  prepared[Symbol.dispose]();
  assert.deepEqual(sources.used, []);
});

test("a pod without a certificate, or unknown to the control plane, is not ready after four seconds", async () => {
  for (const [isKnown, code] of [
    [true, "certificate-wait"],
    [false, "source-unknown"],
  ] as const) {
    const sources = new FakeSources();
    sources.isKnown = isKnown;
    const refused = assert.rejects(preparePod(info, sources), coded(code));
    await new Promise((resolve) => setImmediate(resolve));
    sources.clock.pass(4_000);
    await refused;
    assert.deepEqual(sources.used, []);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { systemClock, type Clock } from "../../base/index.ts";
import { AddressSchema, WorkloadSchema } from "../../wire/workload/index.ts";
import { MeshState } from "../state/mesh-state.ts";
import type { Workload } from "../state/model.ts";
import { readAddresses } from "../state/read-update.ts";
import { ownWorkload } from "./pod-context.ts";

const info = { name: "job-1", namespace: "shop", serviceAccount: "default" };

/** A clock whose timers end when the test calls `elapse`. */
function clockByHand(): { readonly clock: Clock; readonly elapse: (ms: number) => void } {
  const timers = new Set<{ readonly ms: number; readonly run: () => void }>();
  const after = (ms: number, run: () => void): Disposable => {
    const timer = { ms, run };
    timers.add(timer);
    return { [Symbol.dispose]: () => void timers.delete(timer) };
  };
  const elapse = (ms: number): void => {
    for (const timer of timers) if (timer.ms <= ms) timer.run();
  };
  return { clock: { ...systemClock, after }, elapse };
}

function applyWorkload(
  state: MeshState,
  change: { readonly last?: number; readonly serviceAccount?: string } = {},
): void {
  const { last = 1, serviceAccount = info.serviceAccount } = change;
  const addresses = [Uint8Array.of(10, 0, 1, last)];
  const value = create(WorkloadSchema, { ...info, serviceAccount, uid: "job-1", addresses });
  const body = toBinary(AddressSchema, create(AddressSchema, { type: { case: "workload", value } }));
  const resources = [{ name: "job-1", version: "1", aliases: [], typeUrl: "", body }];
  state.apply(readAddresses({ typeUrl: "", resources, removed: [] }).change);
}

test("a pod's first connection waits while its kubelet reports the pod's address ten seconds late", async () => {
  const { clock, elapse } = clockByHand();
  const state = new MeshState();
  const found = ownWorkload({ environment: { state, clock }, info });
  elapse(10_000);
  applyWorkload(state);
  assert.deepEqual((await found).workloadIps, ["10.0.1.1"]);
});

test("a connection of a pod that stays unknown fails after 15 s, and the error names the pod", async () => {
  const { clock, elapse } = clockByHand();
  const found = ownWorkload({ environment: { state: new MeshState(), clock }, info });
  elapse(15_000);
  await assert.rejects(
    Promise.resolve(found),
    /failed to fetch information about local workload: default\.shop \(job-1\)/,
  );
});

test("a pod's workload is the one of the last update, also after it was found before", () => {
  const state = new MeshState();
  const found = () => state.workloadByPod(info)?.workloadIps;
  assert.equal(found(), undefined);
  applyWorkload(state);
  assert.deepEqual([found(), found()], [["10.0.1.1"], ["10.0.1.1"]]);
  applyWorkload(state, { last: 2 });
  assert.deepEqual(found(), ["10.0.1.2"]);
  assert.deepEqual(
    ["10.0.1.1", "10.0.1.2"].map((address) => state.workloadByAddress("", address)?.uid),
    [undefined, "job-1"],
  );
  applyWorkload(state, { last: 2, serviceAccount: "another" });
  assert.equal(found(), undefined);
  applyWorkload(state, { last: 2 });
  state.removeWorkload("job-1");
  assert.deepEqual([found(), state.workloadByAddress("", "10.0.1.2")], [undefined, undefined]);
});

test("a pod's workload is the pod of its own cluster, and not a WorkloadEntry or another cluster's pod with the same name", () => {
  const own = "home//Pod/shop/job-1";
  const others = ["home/networking.istio.io/WorkloadEntry/shop/job-1", "west//Pod/shop/job-1"];
  const workload = (uid: string): Workload => {
    const state = new MeshState();
    applyWorkload(state);
    return { ...(state.workloadByUid("job-1") ?? assert.fail()), uid };
  };
  for (const order of [
    [own, ...others],
    [...others, own],
  ]) {
    const state = new MeshState("home");
    for (const uid of order) state.putWorkload(workload(uid));
    assert.equal(state.workloadByPod(info)?.uid, own);
    for (const uid of others) state.removeWorkload(uid);
    assert.equal(state.workloadByPod(info)?.uid, own);
    state.removeWorkload(own);
    assert.equal(state.workloadByPod(info), undefined);
  }
});

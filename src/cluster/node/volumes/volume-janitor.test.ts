import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { PersistentVolume } from "../../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../../base/index.ts";
import { until } from "../../../base/testing/index.ts";
import type { Informer, InformerChange, KubeClient } from "../../../kube/index.ts";
import { localVolumePath, localVolumes, volumeAnnotations } from "../../record/local-volumes.ts";
import { VolumeJanitor } from "./volume-janitor.ts";

type Spec = NonNullable<PersistentVolume["spec"]>;
const path = localVolumePath("pvc-1");
const released = (spec: Partial<Spec> = {}, phase: "Bound" | "Released" = "Released"): PersistentVolume => ({
  metadata: {
    name: "pvc-1",
    uid: "u",
    annotations: { [volumeAnnotations.provisionedBy]: localVolumes.provisioner },
  },
  spec: {
    hostPath: { path },
    persistentVolumeReclaimPolicy: "Delete",
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["a"] }] }],
      },
    },
    ...spec,
  },
  status: { phase },
});

const graceMs = 50;
const limitMs = 10_000;

/**
 * Reports a change of a volume to the janitor of node `a`. Waits for the expected effect, or for a short time if none
 * is expected. Returns whether the volume's directory still exists, and which objects were deleted.
 */
async function after(
  type: "set" | "delete",
  object: PersistentVolume,
  { acts, prepare = () => undefined }: { readonly acts: boolean; readonly prepare?: (root: string) => void },
): Promise<{ exists: boolean; deleted: string[] }> {
  const hostRoot = mkdtempSync(join(tmpdir(), "serin-janitor-"));
  prepare(hostRoot);
  mkdirSync(join(hostRoot, path, "data"), { recursive: true });
  const deleted: string[] = [];
  let tell: (change: InformerChange<PersistentVolume>) => void = () => undefined;
  const volumes = {
    subscribe: (handler: typeof tell) => {
      tell = handler;
      return { [Symbol.dispose]: () => undefined };
    },
  } as unknown as Informer<PersistentVolume>;
  const client = {
    delete: async (_kind: unknown, name: string) => void deleted.push(name),
  } as unknown as KubeClient;
  const stop = new AbortController();
  const janitor = new VolumeJanitor({
    client,
    volumes,
    nodeName: "a",
    hostRoot,
    clock: systemClock,
    log: silentLogger,
  });
  const running = janitor.run(stop.signal);
  tell(type === "set" ? { type, key: "pvc-1", object, previous: undefined } : { type, key: "pvc-1", object });
  const directory = join(hostRoot, path, "data");
  const hasActed = (): boolean => acts && (type === "set" ? deleted.length > 0 : !existsSync(directory));
  const untilMs = systemClock.steadyMs() + (acts ? limitMs : graceMs);
  await until(() => hasActed() || systemClock.steadyMs() >= untilMs);
  stop.abort();
  await running;
  const exists = existsSync(directory);
  rmSync(hostRoot, { recursive: true });
  return { exists, deleted };
}

test("a node deletes the directory of a released volume that the lab made there, and then the volume", async () => {
  assert.deepEqual(await after("set", released(), { acts: true }), { exists: false, deleted: ["pvc-1"] });
  assert.deepEqual(await after("delete", released(), { acts: true }), { exists: false, deleted: [] });
});

test("a node does not delete volumes that are bound, retained, on another node, or not created by the lab", async () => {
  const elsewhere = [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In" as const, values: ["b"] }] }];
  for (const volume of [
    released({}, "Bound"),
    released({ persistentVolumeReclaimPolicy: "Retain" }),
    released({ nodeAffinity: { required: { nodeSelectorTerms: elsewhere } } }),
    released({ hostPath: { path: "/var/lib/serin/volumes/../../../etc" } }),
    { ...released(), metadata: { name: "pvc-1" } },
  ])
    assert.deepEqual(await after("set", volume, { acts: false }), { exists: true, deleted: [] });
});

test("a link in place of the directory of all volumes does not lead the deletion out of the node", async () => {
  let outside = "";
  const { deleted } = await after("set", released(), {
    acts: true,
    prepare: (root) => {
      outside = mkdtempSync(join(tmpdir(), "serin-outside-"));
      mkdirSync(join(root, dirname(localVolumes.directory)), { recursive: true });
      symlinkSync(outside, join(root, localVolumes.directory));
    },
  });
  assert.deepEqual(deleted, ["pvc-1"]);
  assert.ok(existsSync(join(outside, "pvc-1", "data")));
  rmSync(outside, { recursive: true });
});

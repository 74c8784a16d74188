import { setTimeout as sleep } from "node:timers/promises";
import { transientError, type Clock, type Logger } from "../../base/index.ts";
import type { MeshUpgrade } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { howToMove, leftBehind, planMeshUpgrade } from "../plan/index.ts";
import { ClusterView } from "./cluster-view.ts";
import { storedDependents } from "./dependents.ts";
import { observeMeshWorld } from "./mesh-world/mesh-world.ts";
import type { EngineImage } from "./mesh-world/render-install.ts";

export interface PreviewOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly image: EngineImage;
  readonly upgrade: MeshUpgrade;
  readonly signal: AbortSignal;
}

export interface UpgradePreview {
  readonly steps: readonly { readonly id: string; readonly title: string }[];
  /** The dependents of the old revision that no step moves, with what a person must do. */
  readonly leftBehind: readonly { readonly name: string; readonly todo: string }[];
}

const syncTimeoutMs = 20_000;

/** Plans an upgrade of the current cluster with the engine's own planner. Writes nothing. */
export async function previewUpgrade({
  client,
  clock,
  log,
  image,
  upgrade,
  signal,
}: PreviewOptions): Promise<UpgradePreview> {
  const view = new ClusterView(client, { log, clock });
  const stop = new AbortController();
  const running = view.run(AbortSignal.any([signal, stop.signal]));
  try {
    await Promise.race([
      Promise.all([view.synced, view.injectors.synced]),
      sleep(syncTimeoutMs, undefined, { signal: stop.signal }).then(() => {
        throw transientError("timeout", `the cluster could not be read in ${syncTimeoutMs / 1000} s`);
      }),
    ]);
    const { world } = await observeMeshWorld({ client, view, image, nowMs: clock.nowMs() }, upgrade, []);
    const steps = planMeshUpgrade(upgrade, world).map(({ id, title }) => ({ id, title }));
    const { from, to } = upgrade.spec;
    if (from.revision === to.revision) return { steps, leftBehind: [] };
    const left = leftBehind(upgrade, world, await storedDependents(client, view, from.revision));
    return {
      steps,
      leftBehind: left.map((dependent) => ({ name: dependent.text, todo: howToMove(dependent, to.revision) })),
    };
  } finally {
    stop.abort();
    await running.catch(() => undefined);
  }
}

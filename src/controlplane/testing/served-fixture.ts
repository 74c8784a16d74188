import type { KubernetesObject } from "../../api/index.ts";
import { silentLogger, systemClock, type Logger } from "../../base/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { createFeeds } from "../ingest/feeds.ts";
import { meshKey, type MeshSettings } from "../model/facts.ts";
import { ServedMesh, type ServedMeshOptions } from "../served-mesh.ts";
import { takeBy, testMesh } from "./model-fixture.ts";

interface ServedFixtureOptions extends Pick<ServedMeshOptions, "maxTurnMs" | "secretAccess"> {
  readonly settings?: MeshSettings;
  readonly log?: Logger;
  readonly refused?: Parameters<typeof createFeeds>[2];
}

/** A mesh that is served to proxies, and whose objects the test writes. By default, a change is settled in one turn. */
export function createServedFixture({
  settings = testMesh,
  log = silentLogger,
  refused,
  maxTurnMs = Number.POSITIVE_INFINITY,
  secretAccess,
}: ServedFixtureOptions = {}) {
  const metrics = new MetricsRegistry();
  const mesh = new ServedMesh({
    maxTurnMs,
    revision: "default",
    metrics,
    clock: systemClock,
    log,
    settled: () => undefined,
    secretAccess,
  });
  mesh.inputs.mesh.set(meshKey, settings);
  const take = takeBy(createFeeds(mesh.inputs, "default", refused));
  return {
    mesh,
    metrics,
    /** Writes an object. The mesh settles the change in a later turn. */
    write: (object: KubernetesObject): void => take(object, object),
    /** Writes and removes objects, and notifies the proxies. */
    change: (present: readonly KubernetesObject[], gone: readonly KubernetesObject[] = []): void => {
      mesh.graph.batch(() => {
        for (const object of gone) take(object, undefined);
        for (const object of present) take(object, object);
      });
      mesh.discovery.flush();
    },
  };
}

// An API server with the mesh of base.yaml, and Serin's control plane, as plain processes.
import { rmSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { UntypedObject } from "../../../src/api/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import {
  defaultMeshConfig,
  meshConfigFile,
  startSerinPilot,
  writeMeshConfig,
  type RunningControlPlane,
} from "./control-planes.ts";
import { readObjects, type CorpusCase } from "./corpus.ts";
import type { ObjectStore, StoredObject } from "./object-store.ts";
import { startApiServer } from "./plain-api-server.ts";

export interface TestMesh {
  readonly directory: string;
  readonly kubeconfig: string;
  readonly meshConfig: string;
  readonly objects: ObjectStore;
  readonly pilot: RunningControlPlane;
  readonly base: readonly UntypedObject[];
  stop(): void;
}

const discoveryPort = 15_012;

/** Starts the mesh. `INTEROP_LOGS=1` prints the logs of its processes. */
export async function startTestMesh(): Promise<TestMesh> {
  const directory = mkdtempSync(join(tmpdir(), "im-"));
  const server = await startApiServer(directory);
  const base = readObjects(join(import.meta.dirname, "base.yaml"));
  for (const object of base) await server.objects.create(object);
  const meshConfig = meshConfigFile(directory);
  writeMeshConfig(meshConfig);
  const pilot = await startSerinPilot({
    directory: join(directory, "serin"),
    kubeconfig: server.kubeconfig,
    meshConfig,
    securePort: discoveryPort,
  });
  return {
    directory,
    kubeconfig: server.kubeconfig,
    meshConfig,
    objects: server.objects,
    pilot,
    base,
    stop: () => {
      pilot.stop();
      server.stop();
      rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Applies a configuration. If the server refuses an object, removes those before it, and throws. */
export async function applyCase(mesh: TestMesh, one: CorpusCase): Promise<StoredObject[]> {
  if (one.meshConfig !== undefined) writeMeshConfig(mesh.meshConfig, one.meshConfig, one.meshNetworks);
  const stored: StoredObject[] = [];
  const hosts = new Set<string>();
  for (const object of one.objects) {
    const own = hostsOfEntry(object);
    if (own.some((host) => hosts.has(host))) await nextSecond();
    for (const host of own) hosts.add(host);
    stored.push(await mesh.objects.create(object));
  }
  return stored;
}

function hostsOfEntry({ kind, ...object }: UntypedObject): readonly string[] {
  return kind === "ServiceEntry" ? ((object as { spec?: { hosts?: readonly string[] } }).spec?.hosts ?? []) : [];
}

/**
 * Waits for the next second. Creation times are in whole seconds, and Istio may treat either of two objects of the same
 * second as the older one.
 */
async function nextSecond(): Promise<void> {
  await systemClock.sleep(1000);
}

/** Removes a configuration, and restores objects of the base that it has changed. */
export async function removeCase(mesh: TestMesh, one: CorpusCase): Promise<void> {
  if (one.meshConfig !== undefined) writeMeshConfig(mesh.meshConfig, defaultMeshConfig);
  for (const object of one.objects.toReversed()) {
    const before = mesh.base.find(
      (known) =>
        known.kind === object.kind &&
        known.metadata.name === object.metadata.name &&
        known.metadata.namespace === object.metadata.namespace,
    );
    if (before === undefined) await mesh.objects.delete(object);
    else await mesh.objects.create(before);
  }
}

// Installs a profile into a cluster in memory, without waiting.
import assert from "node:assert/strict";
import type { UntypedObject } from "../../api/index.ts";
import { systemClock, type Clock } from "../../base/index.ts";
import { renderDefaultRevision, renderInstall, resolveSettings, type CustomResources } from "../../install/index.ts";
import { applyComponents } from "../index.ts";
import type { MemoryCluster } from "./memory-cluster.ts";

export const virtualServices = "virtualservices.networking.istio.io";

export const definition = (name: string): UntypedObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name },
});
interface InstallFlags {
  readonly upgradeGateways?: boolean;
  readonly replaceNewer?: boolean;
  readonly identity?: string;
  readonly clock?: Clock;
  /** The CRDs of the release. If absent, only the CRD of VirtualServices. */
  readonly definitions?: readonly string[];
}

export function customResources(names: readonly string[] = [virtualServices]): CustomResources {
  const isOfEngine = (name: string): boolean => name.endsWith(".rollout.serin.dev");
  return {
    istio: names.filter((name) => !isOfEngine(name)).map(definition),
    rollout: names.filter(isOfEngine).map(definition),
  };
}

export async function install(
  cluster: MemoryCluster,
  setFlags: readonly string[],
  flags: InstallFlags = {},
): Promise<{ done: string[]; notes: string[] }> {
  const { value: settings } = resolveSettings({ specs: [], setFlags }, { hub: "h", tag: "1" });
  assert.ok(settings);
  const { components } = renderInstall(settings, customResources(flags.definitions));
  const defaultRevision = renderDefaultRevision(settings);
  const [done, notes]: [string[], string[]] = [[], []];
  await applyComponents({
    client: cluster,
    clock: flags.clock ?? { ...systemClock, sleep: async () => await new Promise((resolve) => setImmediate(resolve)) },
    settings,
    components,
    ...(defaultRevision === undefined ? {} : { defaultRevision }),
    upgradeGateways: flags.upgradeGateways === true,
    replaceNewer: flags.replaceNewer === true,
    identity: flags.identity ?? "me",
    onDone: (component) => void done.push(component.done),
    onNote: (note) => void notes.push(note),
    readyTimeoutMs: flags.clock === undefined ? 1000 : 60_000,
  });
  return { done, notes };
}

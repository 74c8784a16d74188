import type { KubernetesObject } from "../../api/index.ts";
import type { ServiceEntry } from "../../api/istio/index.ts";
import type { Informer } from "../../kube/index.ts";
import { leadAlone, type LeadingControllerOptions } from "../leadership/index.ts";
import type { AmbientStatuses, AmbientStatusKind } from "../model/index.ts";
import { runAddressAllocation } from "./address-allocation.ts";
import { runAmbientStatusWriter } from "./ambient-status-writer.ts";

export interface EntryControllersOptions extends LeadingControllerOptions {
  readonly statuses: AmbientStatuses;
  readonly objectsOf: (kind: AmbientStatusKind) => Informer<KubernetesObject> | undefined;
  readonly isRead: (kind: AmbientStatusKind, key: string) => boolean;
  /** The ranges from which addresses are allocated. If empty, none are allocated. */
  readonly addressRanges: readonly string[];
}

/**
 * The controllers that write to ServiceEntries, WorkloadEntries, Services and policies. Only one replica runs them at a
 * time.
 */
export async function runEntryControllers(options: EntryControllersOptions, signal: AbortSignal): Promise<void> {
  const { revision, statuses, objectsOf, isRead, addressRanges, queues, clock, log } = options;
  const entries = objectsOf("ServiceEntry") as Informer<ServiceEntry> | undefined;
  await Promise.all([
    leadAlone(
      options,
      `istio-status-leader-${revision}`,
      signal,
      async (leading, client) =>
        await runAmbientStatusWriter(
          { client, statuses, objectsOf, isRead, queues, clock, log: log.scoped("ambient-status") },
          leading,
        ),
    ),
    // All revisions have one leader, because they share the addresses.
    entries === undefined || addressRanges.length === 0
      ? undefined
      : leadAlone(
          options,
          "istio-ip-autoallocate",
          signal,
          async (leading, client) =>
            await runAddressAllocation(
              { client, entries, ranges: addressRanges, queues, clock, log: log.scoped("addresses") },
              leading,
            ),
        ),
  ]);
}

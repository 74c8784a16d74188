import { destinationRuleKind, serviceEntryKind, virtualServiceKind } from "../api/istio/index.ts";
import type { Logger } from "../base/index.ts";
import type { RefusedObjects } from "./ingest/index.ts";
import type { LimitReports } from "./model/index.ts";

/**
 * Reports what a proxy leaves out of objects because of its limits, in the log and in the statuses of these objects.
 */
export function reportLimits(limits: LimitReports, refused: RefusedObjects, log: Logger): Disposable {
  const subscriptions = new DisposableStack();
  for (const [kind, messages] of [
    [destinationRuleKind, limits.DestinationRule],
    [serviceEntryKind, limits.ServiceEntry],
    [virtualServiceKind, limits.VirtualService],
  ] as const)
    subscriptions.use(
      messages.subscribe((changes) => {
        for (const { key } of changes) {
          const message = messages.get(key);
          refused.setLimit(kind, key, message);
          if (message !== undefined)
            log.warn("an object exceeds a limit of a proxy, and a part of it has no effect", {
              kind: kind.kind,
              object: key,
              faults: message,
            });
        }
      }),
    );
  return subscriptions;
}

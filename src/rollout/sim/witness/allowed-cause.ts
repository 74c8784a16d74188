import { invariant } from "../../../base/index.ts";
import type { Scenario, SimRollout } from "../scenario.ts";

export function happens({ lasting, disturbances }: Scenario, type: string): boolean {
  return lasting?.type === type || disturbances.some((disturbance) => disturbance.type === type);
}

/** Checks that something in the scenario explains why a rollout was rolled back. */
export function isAllowedCause(
  scenario: Scenario,
  { key, sim, cause }: { readonly key: string; readonly sim: SimRollout; readonly cause: string },
): void {
  const lasting = scenario.lasting?.type;
  const did = (type: string): boolean => happens(scenario, type);
  if (/request-success-rate|tcp-connect-failures/.test(cause))
    invariant(
      sim.errorRate > 0 ||
        (lasting === "unanswered" && cause.includes("no answer in")) ||
        (did("losePods") && cause.includes("the canary has had no ready pod")),
      `${key} is good and was rolled back: ${cause}`,
    );
  else if (cause.includes("did not settle"))
    invariant(
      did("controlPlaneDown") ||
        did("vanish") ||
        did("loseRoute") ||
        did("noPods") ||
        did("selfHeal") ||
        did("losePods") ||
        did("loseMade") ||
        lasting === "controlPlaneGone" ||
        // While ztunnels moved by pod, the upgrade labelled the namespace. Pods follow that label and not their node's,
        // so after the edit they do not move with their node.
        (did("editUpgrade") && cause.includes("is owned by")) ||
        // A recreated upgrade does not find the old revision, because its predecessor has removed it.
        ((did("recreate") || did("replace")) && cause.includes(" exists, and ")),
      `${key} was rolled back: ${cause}`,
    );
  else
    invariant(
      (cause.includes("after its restart") &&
        (did("meddle") || did("noPods") || did("selfHeal") || sim.mesh?.broken === true)) ||
        (cause.includes("or refused") && ["refused", "selfHeal", "refuse", "journalFull", "rewrite"].some(did)) ||
        // A person has agreed to end the rollout without its journal.
        (cause.includes("its journal was gone") && did("loseJournal")) ||
        /aborted by|^group |another change|was reverted|was deleted|journal still has/.test(cause),
      `${key} was rolled back: ${cause}`,
    );
}

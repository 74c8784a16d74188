import type { ErrorEntry } from "./error-entry.ts";
import { controlPlaneErrors } from "./control-plane-errors.ts";
import { dataPlaneErrors } from "./data-plane-errors.ts";
import { inputErrors } from "./input-errors.ts";
import { installationErrors } from "./installation-errors.ts";
import { kubernetesErrors } from "./kubernetes-errors.ts";
import { labErrors } from "./lab-errors.ts";
import { networkErrors } from "./network-errors.ts";
import { ownErrors } from "./own-errors.ts";
import { rolloutErrors } from "./rollout-errors.ts";
import { telemetryErrors } from "./telemetry-errors.ts";
import { trustErrors } from "./trust-errors.ts";

/**
 * Every code of a `SerinError`, by area. `base` contains the whole table, so that each part can use the type, and no
 * part has to import another one for a code. `docs/errors.md` is generated from it.
 */
export const errorAreas = [
  { title: "Command lines, environment and files", codes: inputErrors },
  { title: "Kubernetes' API", codes: kubernetesErrors },
  { title: "Network", codes: networkErrors },
  { title: "Certificates and identities", codes: trustErrors },
  { title: "Control plane and injection", codes: controlPlaneErrors },
  { title: "Installation and releases", codes: installationErrors },
  { title: "Rollouts", codes: rolloutErrors },
  { title: "Proxies, ztunnel and CNI", codes: dataPlaneErrors },
  { title: "Lab clusters and images", codes: labErrors },
  { title: "Metrics, queries and inspection", codes: telemetryErrors },
  { title: "Serin itself", codes: ownErrors },
] as const satisfies readonly { readonly title: string; readonly codes: Readonly<Record<string, ErrorEntry>> }[];

type KeysOf<Area> = Area extends unknown ? keyof Area : never;
/** A stable code for tests and programs, such as `address-in-use`. */
export type ErrorCode = KeysOf<(typeof errorAreas)[number]["codes"]>;

/** The remedy for the error, which is printed if the message does not contain it. */
export function remedyOf(code: ErrorCode): string | undefined {
  for (const { codes } of errorAreas) {
    const entry = (codes as Readonly<Record<string, ErrorEntry>>)[code];
    if (entry !== undefined) return entry.silent === true ? undefined : entry.remedy;
  }
  return undefined;
}

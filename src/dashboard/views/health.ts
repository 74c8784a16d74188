import type { Health } from "../../api/dashboard/index.ts";

/** From these shares of failed responses on, an edge or a workload is degraded or failing. */
export const degradedErrorShare = 0.001;
export const failingErrorShare = 0.1;

export interface Judged {
  readonly health: Health;
  /** Empty if it is healthy. */
  readonly reason: string;
}

const order: readonly Health[] = ["failing", "degraded", "unknown", "idle", "healthy"];

export function worst(parts: readonly Judged[]): Judged {
  return (
    parts.toSorted((a, b) => order.indexOf(a.health) - order.indexOf(b.health))[0] ?? { health: "unknown", reason: "" }
  );
}

export function failingRequests(errorShare: number): string {
  return `${percentText(errorShare)} of its requests fail`;
}

export function trafficHealth(requestRate: number, errorShare: number, otherRate = 0): Judged {
  if (requestRate + otherRate === 0) return { health: "idle", reason: "" };
  if (errorShare < degradedErrorShare) return { health: "healthy", reason: "" };
  return { health: errorShare >= failingErrorShare ? "failing" : "degraded", reason: failingRequests(errorShare) };
}

export function podHealth(ready: number, wanted: number, present = wanted): Judged {
  if (wanted === 0 && present === 0) return { health: "idle", reason: "scaled to zero" };
  if (ready === 0)
    return {
      health: "failing",
      reason: `none of ${Math.max(wanted, present)} ${wanted === 1 ? "pod" : "pods"} is ready`,
    };
  if (ready < wanted) return { health: "degraded", reason: `${ready} of ${wanted} pods are ready` };
  return { health: "healthy", reason: "" };
}

/** A workload's health is the worse one of its pods' and its traffic's. Without traffic, it is that of the pods. */
export function workloadHealth(pods: Judged, traffic: Judged): Judged {
  return traffic.health === "idle" ? pods : worst([pods, traffic]);
}

export function percentText(share: number): string {
  const percent = share * 100;
  return `${percent >= 10 ? percent.toFixed(0) : Number(percent.toPrecision(2))} %`;
}

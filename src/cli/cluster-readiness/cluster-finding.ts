/** A requirement of the mesh on the cluster, or a fact that the cluster's owner should know. */
export interface ClusterFinding {
  readonly subject: string;
  /**
   * The object, such as `Node n1` or `Namespace istio-system`. `Cluster` if the finding does not concern a single
   * object.
   */
  readonly object: string;
  /**
   * An error prevents an installation. A warning means that a feature is missing, or that the API server does not show
   * its state.
   */
  readonly level: "ok" | "warning" | "error";
  readonly detail: string;
  /** What to do. Empty if nothing needs to be done. */
  readonly remedy: string;
}

export function good(subject: string, object: string, detail: string): ClusterFinding {
  return { subject, object, level: "ok", detail, remedy: "" };
}

export function warning(subject: string, object: string, detail: string, remedy: string): ClusterFinding {
  return { subject, object, level: "warning", detail, remedy };
}

export function fault(subject: string, object: string, detail: string, remedy: string): ClusterFinding {
  return { subject, object, level: "error", detail, remedy };
}

export function unseen(subject: string, resource: string, reason: string): ClusterFinding {
  return warning(
    subject,
    "Cluster",
    `cannot be checked: ${reason}`,
    `run the command as a user who may list ${resource}: kubectl auth can-i list ${resource}`,
  );
}

const marks = { ok: "✓", warning: "!", error: "✗" } as const;

/**
 * The findings as `serin doctor` shows them. A remedy that consecutive findings share appears once, after the last of
 * them.
 */
export function findingsText(findings: readonly ClusterFinding[]): string {
  let text = "";
  let sharing = 0;
  for (const [index, { subject, object, level, detail, remedy }] of findings.entries()) {
    text += `${marks[level]} ${subject} (${object}): ${detail}\n`;
    sharing += 1;
    if (findings[index + 1]?.remedy === remedy) continue;
    if (remedy !== "") text += `    remedy${sharing === 1 ? "" : ` for these ${sharing}`}: ${remedy}\n`;
    sharing = 0;
  }
  return text;
}

/** A requirement of the mesh on the cluster, or a fact that the cluster's owner should know. */
export interface ClusterFinding {
  readonly subject: string;
  /**
   * The object, such as `Node n1` or `Namespace istio-system`. `Cluster` if the finding does not concern a single
   * object.
   */
  readonly object: string;
  /**
   * An error prevents an installation. A warning means that a feature is missing, or that its state cannot be seen from
   * outside.
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

/** A warning that a resource could not be read. */
export function unseen(subject: string, resource: string, reason: string): ClusterFinding {
  return warning(
    subject,
    "Cluster",
    `cannot be checked: ${reason}`,
    `run the command as a user who may list ${resource}: kubectl auth can-i list ${resource}`,
  );
}

const marks = { ok: "✓", warning: "!", error: "✗" } as const;

/** A finding as `serin doctor` shows it. */
export function findingText({ subject, object, level, detail, remedy }: ClusterFinding): string {
  const first = `${marks[level]} ${subject} (${object}): ${detail}`;
  return `${first}${remedy === "" ? "" : `\n    remedy: ${remedy}`}\n`;
}

// The form of the lists of rights that components rarely need.

/** Where the sources use a verb. */
export interface UsedAt {
  readonly file: string;
  readonly text: string;
}

export interface RareRights {
  readonly feature: string;
  readonly usedAt: readonly UsedAt[];
  /** For example `serin-rollout: get nodes`: the role, the verb and the resource. */
  readonly rights: readonly string[];
}

/** The names of the rights to each verb on each resource. Both are lists, separated by spaces. */
export function each(role: string, verbs: string, resources: string): string[] {
  return resources.split(" ").flatMap((resource) => verbs.split(" ").map((verb) => `${role}: ${verb} ${resource}`));
}

export const at = (file: string, text: string): UsedAt => ({ file, text });

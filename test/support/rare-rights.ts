// The form of the lists of rights that components rarely need.

/** The place in the sources where a verb is used. */
export interface UsedAt {
  readonly file: string;
  readonly text: string;
}

export interface RareRights {
  readonly feature: string;
  readonly usedAt: readonly UsedAt[];
  /** Rights such as `serin-rollout: get nodes`: the role, the verb and the resource. */
  readonly rights: readonly string[];
}

/** The names of the rights to each verb on each resource. Both are lists with spaces. */
export function each(role: string, verbs: string, resources: string): string[] {
  return resources.split(" ").flatMap((resource) => verbs.split(" ").map((verb) => `${role}: ${verb} ${resource}`));
}

export const at = (file: string, text: string): UsedAt => ({ file, text });

import type { UntypedObject } from "../../api/index.ts";
import { authorAnnotation, canaryKind, kubectlKind, meshUpgradeKind } from "../../api/serin/index.ts";
import type { Step } from "../decide/index.ts";
import { describeQuestion, questionsOfWrites, readsOfCanary, readsOfChecks } from "./access-questions.ts";
import type { AccessReviews } from "./access-reviews.ts";
import type { AuthorKey } from "./author-key.ts";
import { planText, readAuthor } from "./author-record.ts";

const namesShown = 5;

/** Why a rollout may not continue, and who must do what. */
export interface RightsRefusal {
  readonly problem: string;
  readonly remedy: string;
}

/** Checks that a rollout's author could do its steps, because the engine must do nothing that the author could not. */
export class AuthorRights {
  readonly #key: AuthorKey;
  readonly #reviews: AccessReviews;

  constructor(key: AuthorKey, reviews: AccessReviews) {
    this.#key = key;
    this.#reviews = reviews;
  }

  /**
   * Returns why the rollout may not continue, or undefined if the author has all rights. Throws a transient error if
   * the API server does not answer.
   */
  async refusal(rollout: UntypedObject, steps: readonly Step[]): Promise<RightsRefusal | undefined> {
    const writes = questionsOfWrites(steps.flatMap((step) => step.writes));
    const ofPods = readsOfChecks(steps.flatMap((step) => step.checks));
    if (writes.length === 0 && ofPods.length === 0) return undefined;
    const canary = rollout.kind === canaryKind.kind ? canaryKind.parse?.(rollout).value : undefined;
    const questions = [...writes, ...ofPods, ...(canary === undefined ? [] : readsOfCanary(canary))];
    const recorded = rollout.metadata.annotations?.[authorAnnotation] ?? "";
    const author = readAuthor(await this.#key.get(), planText(rollout), recorded);
    const takeover = `let a user with the needed rights take it over: \`${takeoverCommand(rollout)}\``;
    if (author === undefined)
      return {
        problem:
          recorded === ""
            ? "it has no recorded author"
            : "its spec is not what its recorded author wrote: it was changed while no author was recorded",
        remedy: takeover,
      };
    const denied = await this.#reviews.denied(author, questions);
    if (denied.length === 0) return undefined;
    const named = denied.slice(0, namesShown).map(describeQuestion).join("; ");
    const more = denied.length > namesShown ? `; and ${denied.length - namesShown} more` : "";
    return {
      problem: `its author ${author.user} may not: ${named}${more}`,
      remedy: `grant these rights, or ${takeover}`,
    };
  }

  /**
   * Whether the rollout's author may create rollouts of the kind in the namespace. An author with this right could
   * affect others in that namespace by a rollout of their own anyway, for example reserve the namespace. Throws a
   * transient error if the API server does not answer.
   */
  async mayCreate(rollout: UntypedObject, kind: string, namespace: string | undefined): Promise<boolean> {
    const recorded = rollout.metadata.annotations?.[authorAnnotation];
    const author = readAuthor(await this.#key.get(), planText(rollout), recorded);
    if (author === undefined) return false;
    const { group, plural: resource } = kind === meshUpgradeKind.kind ? meshUpgradeKind : canaryKind;
    const place = namespace === undefined ? {} : { namespace };
    return (await this.#reviews.denied(author, [{ verb: "create", group, resource, ...place }])).length === 0;
  }
}

function takeoverCommand({ kind = "", metadata: { namespace, name } }: UntypedObject): string {
  const place = namespace === undefined ? "" : ` -n ${namespace}`;
  return `kubectl annotate ${kubectlKind(kind)}${place} ${name} ${authorAnnotation}= --overwrite`;
}

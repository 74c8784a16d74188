import { mapStrings, type Json } from "../tree-diff.ts";

/** One side of a comparison: the revision and the version that occur in its names and texts. */
export interface Side {
  /** `default` if the side has no revision. */
  readonly revision: string;
  /** All spellings of this side's version. */
  readonly versions: readonly string[];
}

/** The word that replaces the version of a side in neutral texts. */
export const versionWord = "<version>";

/**
 * Returns a function that rewrites a text of one side as if the side had no revision and no version, so that both sides
 * can be compared: `istiod-canary` becomes `istiod`, the label value `canary` becomes `default`, and `pilot:1.18.1`
 * becomes `pilot:<version>`.
 */
export function neutralText({ revision, versions }: Side): (text: string) => string {
  const rules: [RegExp, string][] = [];
  if (revision !== "default" && revision !== "") {
    const word = escaped(revision);
    rules.push(
      [new RegExp(`-${word}(?![A-Za-z0-9])`, "g"), ""],
      [new RegExp(`(?<![A-Za-z0-9.])${word}(?![A-Za-z0-9])`, "g"), "default"],
    );
  }
  for (const version of versions)
    if (version !== "") rules.push([new RegExp(`(?<![\\w.])${escaped(version)}(?!\\w|\\.\\d)`, "g"), versionWord]);
  return (text) => rules.reduce((changed, [pattern, by]) => changed.replace(pattern, by), text);
}

export function neutral(value: Json, side: Side): Json {
  return mapStrings(value, neutralText(side));
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

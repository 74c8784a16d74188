import { mapStrings, type Json } from "./tree-diff.ts";

/** A revision and a version, as one side of a comparison has them in its names and texts. */
export interface Side {
  /** `default` for none. */
  readonly revision: string;
  /** All that are written as a version; texts that have one of them stand for "of this side". */
  readonly versions: readonly string[];
}

/** What neutral texts say instead of a side's version. */
export const versionWord = "<version>";

/**
 * Texts of one side as they would be without a revision and of any version: `istiod-canary` is `istiod`, the label's value
 * `canary` is `default`, `pilot:1.18.1` is `pilot:<version>`. So that both sides can be laid over each other.
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

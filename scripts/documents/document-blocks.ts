import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

export interface Block {
  readonly document: string;
  /** The line of the block's first text. */
  readonly line: number;
  /** The word behind the fence, such as `sh`. Empty if there is none. */
  readonly language: string;
  /** The text without the indentation of the list that the block is in. */
  readonly text: string;
}

/**
 * Returns the documents for users: the README, CONTRIBUTING and SECURITY, and the pages of docs/ and docs/contracts/.
 */
export function userDocuments(): readonly string[] {
  const pages = ["docs/*.md", "docs/contracts/*.md"].flatMap((pattern) => globSync(pattern, { cwd: root }));
  return ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...pages.toSorted()];
}

export function readDocument(document: string): string {
  return readFileSync(join(root, document), "utf8");
}

export function blocksOf(document: string, text: string): Block[] {
  return [...text.matchAll(/^( *)```(\w*)\n([^]*?)^\1```$/gm)].map((match) => {
    const [, indent = "", language = "", block = ""] = match;
    const line = text.slice(0, match.index).split("\n").length + 1;
    return { document, line, language, text: block.replaceAll(new RegExp(`^${indent}`, "gm"), "") };
  });
}

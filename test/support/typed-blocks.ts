/**
 * The commands in the `sh` blocks of a document, including those within lists. A here-document belongs to its command.
 */
export function commandsOf(document: string): string[] {
  const blocks = [...document.matchAll(/^( *)```sh\n([^]*?)^\1```$/gm)].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
  return blocks.flatMap((block) => block.match(/^.*<<EOF\n[^]*?^EOF$|^.+$/gm) ?? []);
}

/** The first block of this language in a document, which may be within a list. Undefined if there is none. */
export function blockOf(document: string, language: string): string | undefined {
  const [, indent = "", block] = new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^\\1\`\`\`$`, "m").exec(document) ?? [];
  return block?.replaceAll(new RegExp(`^${indent}`, "gm"), "");
}

/** What a document has below a heading, up to the next heading of the same level. */
export function sectionOf(document: string, heading: string): string {
  const [, , after] = document.split(new RegExp(`^(## ${heading}\\n)`, "m"));
  if (after === undefined) throw new Error(`the document has no section "${heading}"`);
  return after.split(/^## /m)[0] ?? "";
}

/**
 * The commands in a document's blocks of a language, also in those within lists. A here-document belongs to its
 * command.
 */
export function commandsOf(document: string, language: "sh" | "bash" = "sh"): string[] {
  const fence = new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^\\1\`\`\`$`, "gm");
  const blocks = [...document.matchAll(fence)].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
  return blocks.flatMap((block) => block.match(/^.*<<EOF\n[^]*?^EOF$|^.+$/gm) ?? []);
}

/** The first block of a language in a document, which may be within a list. Undefined if there is none. */
export function blockOf(document: string, language: string): string | undefined {
  const [, indent = "", block] = new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^\\1\`\`\`$`, "m").exec(document) ?? [];
  return block?.replaceAll(new RegExp(`^${indent}`, "gm"), "");
}

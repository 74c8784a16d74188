import type { CliContext } from "../context.ts";

const codes = { red: 31, green: 32, yellow: 33, bold: 1 } as const;
export type Colour = keyof typeof codes;

/** Colours the text, unless the output shows no colours. */
export function paint({ colour }: Pick<CliContext, "colour">, name: Colour, text: string): string {
  return colour ? `\u001b[${codes[name]}m${text}\u001b[0m` : text;
}

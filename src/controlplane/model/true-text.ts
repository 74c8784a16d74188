const trueTexts: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);

/** Whether a label or annotation says yes, in one of the ways that Istio takes; anything else is no. */
export function isTrueText(text: string | undefined): boolean {
  return text !== undefined && trueTexts.has(text);
}

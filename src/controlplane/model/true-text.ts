const trueTexts: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);

/** Whether a label or annotation has one of the values that Istio reads as true. */
export function isTrueText(text: string | undefined): boolean {
  return text !== undefined && trueTexts.has(text);
}

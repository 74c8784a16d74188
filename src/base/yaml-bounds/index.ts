// The bounds of an untrusted YAML text, checked before a parser reads it.

/** Annotations and ConfigMap keys hold a few lines. */
const maxCharacters = 32_768;
/** Kubernetes' own objects nest about a dozen levels deep. */
const maxLevels = 64;

/**
 * Why an untrusted YAML text is refused. Undefined if it may be parsed. A YAML parser recurses for each level and
 * compares each key with all earlier ones, so a short text can keep it busy for seconds. The number of levels is never
 * underestimated: brackets within quotes count too.
 */
export function yamlBoundsFault(text: string): string | undefined {
  if (text.length > maxCharacters) return `must be at most ${maxCharacters} characters, got ${text.length}`;
  return yamlNestingFault(text);
}

/** Checks the limit of levels alone, because the mesh's operator may write texts of any length. */
export function yamlNestingFault(text: string): string | undefined {
  return isNestedBeyond(text, maxLevels) ? `must be nested at most ${maxLevels} levels deep` : undefined;
}

function isNestedBeyond(text: string, levels: number): boolean {
  let brackets = 0;
  const indents: number[] = [];
  for (const line of text.split(/\r\n|\r|\n/)) {
    // `- - - a` and `? ? a` open one level for each mark.
    const marks = /^(?:[ \t]*[-?:](?=[ \t]|$))*/.exec(line)?.[0] ?? "";
    const indent = line.length - line.trimStart().length;
    if (line.trim() !== "") {
      while (indents.length > 0 && (indents.at(-1) ?? 0) >= indent) indents.pop();
      indents.push(indent);
    }
    const opened = indents.length + marks.replaceAll(/[ \t]/g, "").length;
    if (opened + brackets > levels) return true;
    for (const character of line) {
      if (character === "[" || character === "{") brackets += 1;
      else if ((character === "]" || character === "}") && brackets > 0) brackets -= 1;
      if (opened + brackets > levels) return true;
    }
  }
  return false;
}

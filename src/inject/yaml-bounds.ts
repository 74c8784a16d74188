/** What people write into an annotation or a key of a ConfigMap is some lines. */
const maxCharacters = 32_768;
/** Kubernetes' own objects nest a dozen levels deep. */
const maxLevels = 64;

/**
 * Why a YAML text that a stranger wrote is not read; undefined when it may be. A reader of YAML calls itself for each level and
 * compares each key with all before it, so that a short text keeps it busy for seconds. Never counts fewer levels than there are:
 * brackets within quotes count too.
 */
export function yamlBoundsFault(text: string): string | undefined {
  if (text.length > maxCharacters) return `must be at most ${maxCharacters} characters, got ${text.length}`;
  return yamlNestingFault(text);
}

/** The bound of levels alone, for a text of any length that whoever runs the mesh writes. */
export function yamlNestingFault(text: string): string | undefined {
  return isNestedBeyond(text, maxLevels) ? `must be nested at most ${maxLevels} levels deep` : undefined;
}

function isNestedBeyond(text: string, levels: number): boolean {
  let brackets = 0;
  const indents: number[] = [];
  for (const line of text.split(/\r\n|\r|\n/)) {
    // `- - - a` and `? ? a` open a level each.
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

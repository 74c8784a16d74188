// The bounds of an untrusted YAML text. Check them before a parser reads the text.
import type * as Yaml from "yaml";
import { loadPackage } from "../load-package.ts";

/** The maximum length. Annotations and keys of ConfigMaps have a few lines. */
const maxCharacters = 32_768;
/** The maximum depth. Kubernetes' own objects have about a dozen levels. */
const maxLevels = 64;

/**
 * Why an untrusted YAML text must not be parsed. Undefined if it may be. A YAML parser recurses for each level, and
 * compares each key with all earlier ones, so even a short text can keep it busy for seconds.
 */
export function yamlBoundsFault(text: string): string | undefined {
  if (text.length > maxCharacters) return `must be at most ${maxCharacters} characters, got ${text.length}`;
  return yamlNestingFault(text);
}

/** Checks only the depth. It is for texts that the mesh's operator writes, which may have any length. */
export function yamlNestingFault(text: string): string | undefined {
  // The first stage of the parser does not recurse. Its stack has one entry for each open level, one for the document
  // and one for a scalar.
  const { Lexer, Parser } = loadPackage<typeof Yaml>("yaml");
  const stage = new Parser();
  for (const token of new Lexer().lex(text)) {
    for (const _finished of stage.next(token)) continue;
    if (stage.stack.length > maxLevels + 2) return `must be nested at most ${maxLevels} levels deep`;
  }
  return undefined;
}

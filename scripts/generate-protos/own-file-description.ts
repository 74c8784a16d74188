import { dirname, relative } from "node:path";

/** The module beside this one that the generator copies to the generated files. */
export const fileDescriptionModule = "file-description";

const libraryImport = /^import \{ ([^}]*) \} from "@bufbuild\/protobuf\/codegenv2";$/m;

/** Lets a generated module describe its file by our faster function. `name` is its path below the generated files. */
export function withOwnFileDescription(name: string, content: string): string {
  const directory = relative(dirname(name), ".");
  const ours = `import { fileDesc } from "${directory === "" ? "." : directory}/${fileDescriptionModule}.js";`;
  return content.replace(libraryImport, (line, list: string) => {
    const names = list.split(", ");
    if (!names.includes("fileDesc")) return line;
    const others = names.filter((one) => one !== "fileDesc");
    return others.length === 0 ? ours : `import { ${others.join(", ")} } from "@bufbuild/protobuf/codegenv2";\n${ours}`;
  });
}

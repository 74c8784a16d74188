import { fileDesc as describeFile } from "@bufbuild/protobuf/codegenv2";

/** Each file as its importers see it. */
const withoutImports = new Map();

/** The file without its own imports. Everything else is the file's. */
function alone(file) {
  let view = withoutImports.get(file);
  if (view === undefined) {
    view = Object.create(file, { dependencies: { value: [] } });
    withoutImports.set(file, view);
  }
  return view;
}

/**
 * The same as the library's `fileDesc`, in less time. The library walks over everything that the imports import, once
 * for each path that leads there. A file only uses the types of its own imports, unless one of them imports others
 * publicly.
 */
export function fileDesc(text, imports = []) {
  let file;
  try {
    file = describeFile(text, imports.map(alone));
  } catch {
    return describeFile(text, imports);
  }
  file.dependencies.splice(0, imports.length, ...imports);
  return file;
}

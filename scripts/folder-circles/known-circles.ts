/** Folders in which subfolders still import each other, with the reason. The list only becomes shorter. */
export const knownCircles: Readonly<Record<string, string>> = {
  "src/proxy": "its folders become floors one by one, of which the lowest is what all of them speak",
};

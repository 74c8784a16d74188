export { bundlePage, type PageFiles } from "./bundle-page.ts";
export { readPageFiles } from "./page-files.ts";

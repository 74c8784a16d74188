// Bundles the page of the dashboard.
export { bundlePage, type PageFiles } from "./bundle-page.ts";
export { builtPage, pageSources, readPageFiles } from "./page-files.ts";

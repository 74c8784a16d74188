export { bundlePage, type PageFiles } from "./bundle-page.ts";

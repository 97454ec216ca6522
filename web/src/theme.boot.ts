// Runs before the first paint, so that a chosen theme does not flash the other one.
import { applyTheme, storedTheme } from "./state/theme";

applyTheme(storedTheme());

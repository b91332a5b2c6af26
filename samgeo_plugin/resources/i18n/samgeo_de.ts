<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
 <context>
  <name>SamGeo</name>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>Cancelled.</source>
   <translation>Abgebrochen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>The engine did not start in time; see the log, then try again.</source>
   <translation>Die Engine ist nicht rechtzeitig gestartet; sehen Sie ins Protokoll und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>The engine sent more than the protocol allows and was ended.</source>
   <translation>Die Engine hat mehr gesendet, als das Protokoll erlaubt, und wurde beendet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>The engine speaks version {theirs} of the protocol and the plugin {ours}; update the engine in the settings.</source>
   <translation>Die Engine spricht Version {theirs} des Protokolls, die Erweiterung {ours}; aktualisieren Sie die Engine in den Einstellungen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>The engine stopped answering and was ended; the next click restarts it.</source>
   <translation>Die Engine hat nicht mehr geantwortet und wurde beendet; der nächste Klick startet sie neu.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>The engine was stopped.</source>
   <translation>Die Engine wurde angehalten.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>The engine's Python {program} cannot be started; check it in the settings.</source>
   <translation>Das Python der Engine, {program}, lässt sich nicht starten; prüfen Sie es in den Einstellungen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/client.py" />
   <source>What was started is not the engine; check its Python in the settings.</source>
   <translation>Was gestartet wurde, ist nicht die Engine; prüfen Sie ihr Python in den Einstellungen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source> in the plugin's settings</source>
   <translation> in den Einstellungen der Erweiterung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Area in which every object is drawn</source>
   <translation>Gebiet, in dem jedes Objekt gezeichnet ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Area of interest</source>
   <translation>Interessengebiet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Bands shown as red, green and blue</source>
   <translation>Bänder für Rot, Grün und Blau</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>COCO: run-length codes for all objects</source>
   <translation>COCO: Lauflängenkodierung für alle Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>CPU threads</source>
   <translation>CPU-Threads</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>CRS of the raster's layer</source>
   <translation>KBS des Rasterlayers</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>CRS of the result</source>
   <translation>KBS des Ergebnisses</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Class of the roads</source>
   <translation>Klasse der Straßen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Classify objects</source>
   <translation>Objekte klassifizieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Date of the polygons (YYYY-MM-DD)</source>
   <translation>Datum der Polygone (JJJJ-MM-TT)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Dates of the rasters (CSV)</source>
   <translation>Daten der Raster (CSV)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Device</source>
   <translation>Gerät</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Download…</source>
   <translation>Herunterladen…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Examples</source>
   <translation>Beispiele</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Examples of none of the classes</source>
   <translation>Beispiele für keine der Klassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Exemplar boxes</source>
   <translation>Musterrahmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Extent</source>
   <translation>Ausdehnung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Fetch what a raster's file refers to on servers</source>
   <translation>Laden, worauf die Datei eines Rasters auf Servern verweist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Field that is true for several objects in one</source>
   <translation>Feld, das für mehrere Objekte in einem wahr ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Field with a label</source>
   <translation>Feld mit einer Beschriftung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Field with the class</source>
   <translation>Feld mit der Klasse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Field with the class in the truth</source>
   <translation>Feld mit der Klasse in der Referenz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Field with the objects’ names</source>
   <translation>Feld mit den Namen der Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Field with the status of the review</source>
   <translation>Feld mit dem Status der Durchsicht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>File of labels</source>
   <translation>Datei mit Annotationen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Folder</source>
   <translation>Ordner</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Folder of the georeferenced images</source>
   <translation>Ordner der georeferenzierten Bilder</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Forget what a cancelled run has done</source>
   <translation>Vergessen, was ein abgebrochener Lauf getan hat</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Format of the images</source>
   <translation>Format der Bilder</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Format of the labels</source>
   <translation>Format der Annotationen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>How far objects may move between dates (in their own sides)</source>
   <translation>Wie weit sich Objekte zwischen zwei Daten bewegen dürfen (in eigenen Seitenlängen)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Improve the model</source>
   <translation>Modell verbessern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Keep chips without objects</source>
   <translation>Kacheln ohne Objekte behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Keep only</source>
   <translation>Nur behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Keep the classifier</source>
   <translation>Klassifikator behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Learn from confident masks where nothing is drawn, too</source>
   <translation>Auch aus sicheren Masken lernen, wo nichts gezeichnet ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Least overlap with the given outline (IoU)</source>
   <translation>Kleinste Deckung mit dem gegebenen Umriss (IoU)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Least probability of a class</source>
   <translation>Kleinste Wahrscheinlichkeit einer Klasse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Least score</source>
   <translation>Kleinste Güte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Least stability</source>
   <translation>Kleinste Stabilität</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Least width (metres)</source>
   <translation>Kleinste Breite (Meter)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Look for new objects, too</source>
   <translation>Auch neue Objekte suchen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Magnification for the embedded model</source>
   <translation>Vergrößerung für das eingebaute Modell</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Minutes that you have worked on the polygons</source>
   <translation>Minuten, die Sie an den Polygonen gearbeitet haben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Minutes, at most</source>
   <translation>Minuten, höchstens</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Model</source>
   <translation>Modell</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Model that finds words or exemplars</source>
   <translation>Modell, das Wörter oder Muster findet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Name of the new model</source>
   <translation>Name des neuen Modells</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Names of the classes</source>
   <translation>Namen der Klassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Number type of the model</source>
   <translation>Zahlentyp des Modells</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Objects that overlapping rasters show twice</source>
   <translation>Objekte, die überlappende Raster doppelt zeigen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Objects under clouds are hidden</source>
   <translation>Objekte unter Wolken sind verdeckt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Objects within objects</source>
   <translation>Objekte in Objekten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Outlines</source>
   <translation>Umrisse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Overlap of windows (pixels)</source>
   <translation>Überlappung der Fenster (Pixel)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Points per side of a window</source>
   <translation>Punkte je Seite eines Fensters</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Polygons</source>
   <translation>Polygone</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Post-processing</source>
   <translation>Nachbearbeitung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Probability from which a change is one</source>
   <translation>Wahrscheinlichkeit, ab der eine Änderung gilt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Processes</source>
   <translation>Prozesse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Prompts</source>
   <translation>Eingaben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Raster</source>
   <translation>Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Remove…</source>
   <translation>Entfernen…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Replace a model of that name</source>
   <translation>Ein Modell dieses Namens ersetzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Saved classifier, instead of examples</source>
   <translation>Gespeicherter Klassifikator statt Beispielen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Several rasters</source>
   <translation>Mehrere Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Shapes</source>
   <translation>Formen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Share of the objects for validation</source>
   <translation>Anteil der Objekte für die Validierung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Share of the polygons that is held back</source>
   <translation>Anteil der Polygone, der zurückgehalten wird</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Shortest dead end (metres)</source>
   <translation>Kürzeste Sackgasse (Meter)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Side of a chip (pixels)</source>
   <translation>Seitenlänge einer Kachel (Pixel)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Side of a window (pixels)</source>
   <translation>Seite eines Fensters (Pixel)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Simplify (ground units of the raster)</source>
   <translation>Vereinfachen (Bodeneinheiten des Rasters)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Smallest hole (m²)</source>
   <translation>Kleinstes Loch (m²)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Smallest object (m²)</source>
   <translation>Kleinstes Objekt (m²)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Truth</source>
   <translation>Referenz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Use prompts as</source>
   <translation>Eingaben benutzen als</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>What is written</source>
   <translation>Was geschrieben wird</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Where to look for objects</source>
   <translation>Wo nach Objekten gesucht wird</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Widest gap that is bridged (metres)</source>
   <translation>Größte Lücke, die überbrückt wird (Meter)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Words for the objects to find</source>
   <translation>Wörter für die gesuchten Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>Working resolution (ground units per pixel)</source>
   <translation>Arbeitsauflösung (Bodeneinheiten je Pixel)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/knobs.py" />
   <source>“{button}” in the panel’s list of models, behind the button beside “Model”</source>
   <translation>„{button}“ in der Liste der Modelle hinter dem Knopf neben „Modell“ im Bedienfeld</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/process.py" />
   <source>Engine {version}</source>
   <translation>Engine {version}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/process.py" />
   <source>Engine {version} on {device}</source>
   <translation>Engine {version} auf {device}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/process.py" />
   <source>The engine crashed (code {code}).</source>
   <translation>Die Engine ist abgestürzt (Code {code}).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/process.py" />
   <source>The engine ended with code {code}.</source>
   <translation>Die Engine hat sich mit Code {code} beendet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/process.py" />
   <source>The engine was stopped by the system, often because memory ran out.</source>
   <translation>Die Engine wurde vom System beendet, oft weil der Speicher ausging.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/process.py" />
   <source>The engine's Python {program} lacks the package {name}: install samgeo-seamless there, set the engine up again, or name another Python in the settings.</source>
   <translation>Dem Python der Engine, {program}, fehlt das Paket {name}: Installieren Sie dort samgeo-seamless, richten Sie die Engine neu ein oder nennen Sie in den Einstellungen ein anderes Python.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Choosing the least score</source>
   <translation>Kleinster Wert wird gewählt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Completing objects that tiles have cut</source>
   <translation>Zerschnittene Objekte werden vervollständigt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Downloading</source>
   <translation>Herunterladen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Drawing centre lines</source>
   <translation>Mittellinien werden gezeichnet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Drawing outlines</source>
   <translation>Umrisse werden gezeichnet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Drawing polygons</source>
   <translation>Polygone zeichnen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Joining tiles</source>
   <translation>Kacheln verbinden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Learning which objects you accept</source>
   <translation>Lernt, welche Objekte Sie annehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Leaving out what overlapping rasters show twice</source>
   <translation>Weglassen, was überlappende Raster doppelt zeigen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Loading the model</source>
   <translation>Modell laden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Looking at each date</source>
   <translation>Jedes Datum wird betrachtet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Looking at the examples</source>
   <translation>Die Beispiele werden betrachtet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Looking at the image</source>
   <translation>Bild betrachten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Looking for large objects</source>
   <translation>Große Objekte werden gesucht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Looking for masks that the model is sure of</source>
   <translation>Masken suchen, deren das Modell sicher ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Measuring the model as it was</source>
   <translation>Das bisherige Modell wird gemessen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Measuring the trained model</source>
   <translation>Das trainierte Modell wird gemessen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Reading the raster's values</source>
   <translation>Werte des Rasters lesen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Segmenting at the prompts</source>
   <translation>An den Eingaben wird segmentiert</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Segmenting raster by raster</source>
   <translation>Raster für Raster segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Segmenting tiles</source>
   <translation>Kacheln segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Telling classes of ground apart</source>
   <translation>Klassen des Bodens werden unterschieden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Training</source>
   <translation>Training</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Writing chips</source>
   <translation>Kacheln werden geschrieben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/engine/stages.py" />
   <source>Writing the layer</source>
   <translation>Der Layer wird geschrieben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Alt and left click</source>
   <translation>Alt und Linksklick</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Backspace, Ctrl+Z</source>
   <translation>Rücktaste, Strg+Z</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Ctrl and click, then M</source>
   <translation>Strg und Klick, dann M</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Ctrl and drag</source>
   <translation>Strg und ziehen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Delete</source>
   <translation>Entf</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Drag</source>
   <translation>Ziehen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Enter, double click</source>
   <translation>Eingabe, Doppelklick</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Esc</source>
   <translation>Esc</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>GNU General Public License, version 2 or later. Models come with licences of their own, which are shown before a download.</source>
   <translation>GNU General Public License, Version 2 oder später. Modelle haben eigene Lizenzen, die vor dem Herunterladen gezeigt werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>How it works</source>
   <translation>So funktioniert es</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Left click</source>
   <translation>Linksklick</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Licence</source>
   <translation>Lizenz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>On the map</source>
   <translation>Auf der Karte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Right click, or Shift and left click</source>
   <translation>Rechtsklick oder Umschalt und Linksklick</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Right drag, or Shift and drag</source>
   <translation>Rechts ziehen oder Umschalt und ziehen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>S, then drag a line</source>
   <translation>S, dann eine Linie ziehen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>SamGeo Seamless</source>
   <translation>SamGeo Seamless</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Seam-free polygons from rasters with the Segment Anything family</source>
   <translation>Nahtlose Polygone aus Rastern mit der Segment-Anything-Familie</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Space, middle button</source>
   <translation>Leertaste, mittlere Maustaste</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>Tab, Shift+Tab</source>
   <translation>Tab, Umschalt+Tab</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>The model runs in a process and a Python environment of its own. It looks at windows of the raster; an object that reaches a window's edge is followed into the next one, so no polygon is ever cut off. Whole rasters are segmented with the algorithms in the Processing toolbox.</source>
   <translation>Das Modell läuft in einem eigenen Prozess und einer eigenen Python-Umgebung. Es betrachtet Fenster des Rasters; ein Objekt, das den Rand eines Fensters erreicht, wird ins nächste verfolgt, sodass nie ein Polygon abgeschnitten wird. Ganze Raster werden mit den Algorithmen der Werkzeugkiste segmentiert.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>a box around it (or a stroke, as chosen in the panel)</source>
   <translation>ein Rechteck um das Objekt (oder ein Strich, wie im Bedienfeld gewählt)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>a point on the object; or take an existing polygon up</source>
   <translation>ein Punkt auf dem Objekt; oder ein vorhandenes Polygon aufnehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>a point that does not belong to it</source>
   <translation>ein Punkt, der nicht dazugehört</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>a stroke along it (or a box)</source>
   <translation>ein Strich entlang des Objekts (oder ein Rechteck)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>a stroke over what does not belong to it</source>
   <translation>ein Strich über das, was nicht dazugehört</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>accept: write the polygon into the target layer</source>
   <translation>übernehmen: das Polygon in den Ziellayer schreiben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>begin a new object on an existing polygon</source>
   <translation>auf einem vorhandenen Polygon ein neues Objekt beginnen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>delete the selected polygons</source>
   <translation>die gewählten Polygone löschen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>give up the last prompt, then the object</source>
   <translation>die letzte Eingabe verwerfen, dann das Objekt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>move the map</source>
   <translation>die Karte verschieben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>select polygons of the target layer and merge them</source>
   <translation>Polygone des Ziellayers wählen und verschmelzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>split polygons of the target layer</source>
   <translation>Polygone des Ziellayers trennen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>take the last prompt back</source>
   <translation>die letzte Eingabe zurücknehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/about_dialog.py" />
   <source>the next or the previous candidate</source>
   <translation>der nächste oder vorige Vorschlag</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>Add the class</source>
   <translation>Klasse hinzufügen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>Colour of the class</source>
   <translation>Farbe der Klasse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>Key {number}</source>
   <translation>Taste {number}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>New class</source>
   <translation>Neue Klasse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>No class</source>
   <translation>Keine Klasse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>Take the class off the list</source>
   <translation>Klasse von der Liste nehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/class_panel.py" />
   <source>The class of the objects that you accept; number keys choose it on the map</source>
   <translation>Die Klasse der Objekte, die Sie annehmen; auf der Karte wählen sie die Zifferntasten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Automatic…</source>
   <translation>Automatisch…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Classes</source>
   <translation>Klassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Help and about</source>
   <translation>Hilfe und Info</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Object in work</source>
   <translation>Objekt in Arbeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Segment the whole raster, or a part of it, with Processing</source>
   <translation>Das ganze Raster oder einen Teil davon mit Verarbeitung segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Settings</source>
   <translation>Einstellungen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>Stop what the engine is doing</source>
   <translation>Anhalten, was die Engine gerade tut</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>The engine is starting…</source>
   <translation>Die Engine startet…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/dock.py" />
   <source>The engine starts with the first click</source>
   <translation>Die Engine startet mit dem ersten Klick</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>A Python of your own is used: {python}</source>
   <translation>Ein eigenes Python wird benutzt: {python}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>A Python, or the folder of an environment, in which samgeo-seamless is installed</source>
   <translation>Ein Python oder der Ordner einer Umgebung, in der samgeo-seamless installiert ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>A click downloads about {download} MB (PyTorch for {build} and the packages that the engine needs, from PyPI and pytorch.org) and uses {disk} MB in {folder}, with Python {version} of {python}. Nothing else on the system is changed.</source>
   <translation>Ein Klick lädt etwa {download} MB herunter (PyTorch für {build} und die Pakete, die die Engine braucht, von PyPI und pytorch.org) und belegt {disk} MB in {folder}, mit Python {version} aus {python}. Sonst wird am System nichts geändert.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>A click installs the engine {engine} from the bundle, without a network, and uses about {disk} MB in {folder}, with Python {version} of {python}.</source>
   <translation>Ein Klick installiert die Engine {engine} aus dem Paketordner, ohne Netz, und belegt etwa {disk} MB in {folder}, mit Python {version} von {python}.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>A folder made by 'samgeo bundle': everything is installed from it, offline</source>
   <translation>Ein Ordner von 'samgeo bundle': alles wird daraus installiert, ohne Netz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Bundle</source>
   <translation>Paketordner</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>CPU (works everywhere)</source>
   <translation>CPU (läuft überall)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>CUDA (NVIDIA GPU)</source>
   <translation>CUDA (NVIDIA-GPU)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Cancel</source>
   <translation>Abbrechen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Delete {folder} with everything in it?</source>
   <translation>{folder} mit allem darin löschen?</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Diagnose</source>
   <translation>Diagnose</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Existing Python</source>
   <translation>Vorhandenes Python</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Go on with the setup</source>
   <translation>Einrichtung fortsetzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Look again</source>
   <translation>Erneut suchen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Looking for a Python…</source>
   <translation>Ein Python wird gesucht…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>No Python from 3.10 on was found; install one, or name an existing Python.</source>
   <translation>Kein Python ab 3.10 gefunden; installieren Sie eines oder nennen Sie ein vorhandenes.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Not set up yet.</source>
   <translation>Noch nicht eingerichtet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Nothing is downloaded or installed.</source>
   <translation>Es wird nichts heruntergeladen oder installiert.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Nothing needs to be downloaded.</source>
   <translation>Es muss nichts heruntergeladen werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Nothing needs to be downloaded. Set up again begins anew:</source>
   <translation>Es muss nichts heruntergeladen werden. „Neu einrichten“ beginnt von vorn:</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>PyTorch build</source>
   <translation>PyTorch-Variante</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Ready, but older than the plugin.</source>
   <translation>Bereit, aber älter als die Erweiterung.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Ready.</source>
   <translation>Bereit.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Remove the engine</source>
   <translation>Engine entfernen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Removing…</source>
   <translation>Wird entfernt…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Set up again</source>
   <translation>Neu einrichten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Set up the engine</source>
   <translation>Engine einrichten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>State</source>
   <translation>Zustand</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>The bundle needs Python {version}, and none was found; install it, or make a bundle for a Python that is here.</source>
   <translation>Der Paketordner braucht Python {version}, das nicht gefunden wurde; installieren Sie es, oder erzeugen Sie einen Paketordner für ein vorhandenes Python.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>The engine's own wheel is installed from the plugin; few or no downloads.</source>
   <translation>Die Engine selbst wird aus der Erweiterung installiert; es wird wenig oder nichts heruntergeladen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>The environment was removed.</source>
   <translation>Die Umgebung wurde entfernt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>The report is on the clipboard.</source>
   <translation>Der Bericht liegt in der Zwischenablage.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>The setup is not finished.</source>
   <translation>Die Einrichtung ist nicht abgeschlossen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>Update the engine</source>
   <translation>Engine aktualisieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>none: packages come from the network</source>
   <translation>keiner: Pakete kommen aus dem Netz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/environment_widget.py" />
   <source>none: the plugin makes and keeps its own environment</source>
   <translation>keines: die Erweiterung legt eine eigene Umgebung an</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/feature_forms.py" />
   <source>Edit it again</source>
   <translation>Wieder bearbeiten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/feature_forms.py" />
   <source>Editing of {layer} has ended, and the object whose form is open is not in it: edit it again, then press OK.</source>
   <translation>Die Bearbeitung von {layer} ist beendet, und das Objekt, dessen Formular offen ist, ist nicht darin: Bearbeiten Sie den Layer wieder und drücken Sie dann OK.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/field_dialog.py" />
   <source>Fields of {layer}</source>
   <translation>Felder von {layer}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>All like the accepted ones</source>
   <translation>Alles, was den übernommenen gleicht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>All that was worth asking is answered.</source>
   <translation>Alles, was zu fragen lohnt, ist beantwortet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Also what a run has found that is stopped; one step of the layer's undo</source>
   <translation>Auch, was ein angehaltener Lauf gefunden hat; ein Schritt im Rückgängig des Layers</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Choose a layer whose polygons are the area.</source>
   <translation>Wählen Sie einen Layer, dessen Polygone das Gebiet sind.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Copy what is shown; one step of the layer's undo</source>
   <translation>Kopiert, was gezeigt wird; ein Schritt beim Rückgängigmachen des Layers</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Earlier runs with their settings, to repeat or to go on</source>
   <translation>Frühere Läufe mit ihren Einstellungen, zum Wiederholen oder Fortsetzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Examples: {counts}</source>
   <translation>Beispiele: {counts}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Find all</source>
   <translation>Alle finden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Find all like these</source>
   <translation>Alle wie diese finden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Find all objects in the background; clicks go on working</source>
   <translation>Alle Objekte im Hintergrund suchen; Klicks gehen weiter</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Find all objects that are like the accepted ones of each class, in the background</source>
   <translation>Findet im Hintergrund alle Objekte, die den angenommenen jeder Klasse gleichen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Find automatically</source>
   <translation>Automatisch finden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Go to the object whose answer teaches most</source>
   <translation>Geht zum Objekt, dessen Antwort am meisten lehrt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>How probable the class of an object that is shown must be</source>
   <translation>Wie wahrscheinlich die Klasse eines Objekts sein muss, damit es gezeigt wird</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Into the target layer at the end</source>
   <translation>Am Ende in den Ziellayer</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Left click on an object: right. Right click: wrong.</source>
   <translation>Linksklick auf ein Objekt: richtig. Rechtsklick: falsch.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>No class is known that this object could be of: add one in “New class”.</source>
   <translation>Es ist keine Klasse bekannt, zu der dieses Objekt gehören könnte: Geben Sie bei „Neue Klasse“ eine an.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>No model that understands words is on this computer: download SAM 3, Grounding DINO or OWLv2 with the button beside “Model”.</source>
   <translation>Auf diesem Rechner ist kein Modell, das Wörter versteht: laden Sie SAM 3, Grounding DINO oder OWLv2 mit dem Knopf neben „Modell“ herunter.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Not shown now. 1–9 class, X none of the classes, N next</source>
   <translation>Jetzt nicht gezeigt. 1–9 Klasse, X keine der Klassen, N weiter</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Polygons of a layer</source>
   <translation>Polygone eines Layers</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Probability</source>
   <translation>Wahrscheinlichkeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Runs…</source>
   <translation>Läufe…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Stop</source>
   <translation>Anhalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Take into the target layer</source>
   <translation>In den Ziellayer übernehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Visible extent</source>
   <translation>Sichtbarer Ausschnitt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>What is like your objects; what words name; everything, or one class of the embedded model</source>
   <translation>Was Ihren Objekten gleicht; was Wörter benennen; alles, oder eine Klasse des eingebauten Modells</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>What to ask next</source>
   <translation>Nächste Frage</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Where objects are looked for</source>
   <translation>Wo Objekte gesucht werden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Whole raster</source>
   <translation>Ganzes Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>Words…</source>
   <translation>Wörter…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>none of these {count}</source>
   <translation>nichts davon {count}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>{kept} shown of {found} objects</source>
   <translation>{kept} von {found} Objekten gezeigt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/find_panel.py" />
   <source>{name} ({probability})? Y yes, X none of the classes, 1–9 class, N next</source>
   <translation>{name} ({probability})? Y ja, X keine der Klassen, 1–9 Klasse, N weiter</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/layer_rendering.py" />
   <source>The visible extent is ready.</source>
   <translation>Der sichtbare Ausschnitt ist bereit.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>A file of weights</source>
   <translation>Eine Datei mit Gewichten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Check</source>
   <translation>Erproben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Delete the file of {title}?</source>
   <translation>Die Datei von {title} löschen?</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Done.</source>
   <translation>Fertig.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Download a model</source>
   <translation>Modell herunterladen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Download {title}, {size}, under the licence {licence}?</source>
   <translation>{title}, {size}, unter der Lizenz {licence} herunterladen?</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Models</source>
   <translation>Modelle</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Note</source>
   <translation>Anmerkung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Remove a model</source>
   <translation>Modell entfernen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Size</source>
   <translation>Größe</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Try the model on a picture of known houses: does it work as it should here?</source>
   <translation>Das Modell an einem Bild bekannter Häuser erproben: arbeitet es hier, wie es soll?</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Trying the model; this may take minutes.</source>
   <translation>Das Modell wird erprobt; das kann Minuten dauern.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Use</source>
   <translation>Benutzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Use a file…</source>
   <translation>Datei benutzen…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Verify</source>
   <translation>Prüfen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>Weights (*.pth *.pt *.safetensors *.onnx);;All files (*)</source>
   <translation>Gewichte (*.pth *.pt *.safetensors *.onnx);;Alle Dateien (*)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>of its authors</source>
   <translation>ihrer Autoren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/models_dialog.py" />
   <source>of unknown size</source>
   <translation>unbekannter Größe</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Accept</source>
   <translation>Übernehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Accepted objects that are still being made: {count}</source>
   <translation>Übernommene Objekte, die noch entstehen: {count}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Candidate {number} and its score (Tab)</source>
   <translation>Vorschlag {number} und seine Güte (Tab)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Choose the Segment tool and click an object on the map.</source>
   <translation>Wählen Sie das Werkzeug Segmentieren und klicken Sie auf ein Objekt der Karte.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Clear</source>
   <translation>Verwerfen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Click an object, or drag a box around it.</source>
   <translation>Klicken Sie auf ein Objekt oder ziehen Sie ein Rechteck darum.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Drag: box</source>
   <translation>Ziehen: Rechteck</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Drag: stroke</source>
   <translation>Ziehen: Strich</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Give the object up (Esc twice)</source>
   <translation>Das Objekt verwerfen (zweimal Esc)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Left click adds, right click removes, Enter accepts.</source>
   <translation>Linksklick fügt hinzu, Rechtsklick nimmt weg, Eingabe übernimmt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Looking at the image…</source>
   <translation>Das Bild wird betrachtet…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Take the last prompt back (Ctrl+Z, Backspace)</source>
   <translation>Die letzte Eingabe zurücknehmen (Strg+Z, Rücktaste)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>The image here is being prepared; a click waits for it.</source>
   <translation>Das Bild wird hier vorbereitet; ein Klick wartet darauf.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>The raster is being opened…</source>
   <translation>Das Raster wird geöffnet…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Undo</source>
   <translation>Rückgängig</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Use the selected polygon as a prompt</source>
   <translation>Das gewählte Polygon als Eingabe benutzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>What a drag on the map draws; Ctrl draws the other one</source>
   <translation>Was das Ziehen auf der Karte zeichnet; mit Strg das andere</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>Write the polygon into the target layer (Enter, double click)</source>
   <translation>Das Polygon in den Ziellayer schreiben (Eingabe, Doppelklick)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/object_panel.py" />
   <source>{count} windows</source>
   <translation>{count} Fenster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source> pixels</source>
   <translation> Pixel</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>CPU threads of the engine</source>
   <translation>CPU-Threads der Engine</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>Engine</source>
   <translation>Engine</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>Fewer threads leave more of the computer to QGIS</source>
   <translation>Weniger Threads lassen QGIS mehr vom Rechner</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>Files such as virtual rasters can name servers; without this they are refused</source>
   <translation>Dateien wie virtuelle Raster können Server nennen; ohne dies werden sie abgelehnt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>Largest side of a temporary rendering</source>
   <translation>Längste Seite einer vorläufigen Darstellung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>Show the polygon that a click would make</source>
   <translation>Das Polygon zeigen, das ein Klick ergäbe</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>Work</source>
   <translation>Arbeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/options_page.py" />
   <source>automatic</source>
   <translation>automatisch</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Accepted objects too</source>
   <translation>Auch übernommene Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>As the model sees it</source>
   <translation>Wie das Modell es sieht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Largest part only</source>
   <translation>Nur der größte Teil</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Most vertices</source>
   <translation>Höchstzahl der Stützpunkte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Outline</source>
   <translation>Umriss</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Outlines are simplified to so many vertices, unless that would change their shape</source>
   <translation>Umrisse werden auf so viele Stützpunkte vereinfacht, außer wenn das ihre Form ändern würde</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Refinement</source>
   <translation>Verfeinerung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Right angles (buildings)</source>
   <translation>Rechte Winkel (Gebäude)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Simplify</source>
   <translation>Vereinfachen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Smaller holes are filled</source>
   <translation>Kleinere Löcher werden gefüllt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Smaller parts of the polygon are left out</source>
   <translation>Kleinere Teile des Polygons entfallen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Smallest hole</source>
   <translation>Kleinstes Loch</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Smallest part</source>
   <translation>Kleinster Teil</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Specks beside the object are left out</source>
   <translation>Kleine Flecken neben dem Objekt werden weggelassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Those that were accepted since the layer was last saved</source>
   <translation>Was seit dem letzten Speichern des Layers übernommen wurde</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>Tolerance in ground units of the raster's CRS</source>
   <translation>Toleranz in Bodeneinheiten des Raster-KBS</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>no limit</source>
   <translation>keine Grenze</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/refinement_panel.py" />
   <source>off</source>
   <translation>aus</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/render_dialog.py" />
   <source>Picture</source>
   <translation>Bild</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/render_dialog.py" />
   <source>Render {layer}</source>
   <translation>{layer} rendern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/render_dialog.py" />
   <source>Resolution, a pixel</source>
   <translation>Auflösung, ein Pixel</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/render_dialog.py" />
   <source>The visible part of the map layer is rendered as it looks and used in its place. The file is temporary and goes with this QGIS.</source>
   <translation>Der sichtbare Teil des Layers wird gerendert, wie er aussieht, und an seiner Stelle benutzt. Die Datei ist vorläufig und vergeht mit diesem QGIS.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/render_dialog.py" />
   <source>{width} × {height} pixels, {size} MB; the limit is {limit} a side</source>
   <translation>{width} × {height} Pixel, {size} MB; die Grenze liegt bei {limit} je Seite</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Accepted</source>
   <translation>Angenommen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>All</source>
   <translation>Alle</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Class {number}</source>
   <translation>Klasse {number}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Classes: {names}</source>
   <translation>Klassen: {names}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Correct</source>
   <translation>Korrigieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Delete what the filter leaves out; Ctrl+Z takes it back</source>
   <translation>Löschen, was der Filter weglässt; Strg+Z nimmt es zurück</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Doubt {doubt}: {reasons}</source>
   <translation>Zweifel {doubt}: {reasons}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>End the review</source>
   <translation>Prüfung beenden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Go through the layer's polygons, the most doubtful first; nothing is saved unasked</source>
   <translation>Die Polygone des Layers durchgehen, die zweifelhaftesten zuerst; nichts wird ungefragt gespeichert</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Largest area</source>
   <translation>Größte Fläche</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Largest part</source>
   <translation>Größter Teil</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Least area</source>
   <translation>Kleinste Fläche</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Next</source>
   <translation>Nächstes</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Open</source>
   <translation>Offen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Open again</source>
   <translation>Wieder öffnen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Previous</source>
   <translation>Voriges</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Reject</source>
   <translation>Ablehnen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Rejected</source>
   <translation>Abgelehnt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Remove what is hidden</source>
   <translation>Verborgene entfernen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Right angles</source>
   <translation>Rechte Winkel</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Save</source>
   <translation>Speichern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Save the layer's edits and go on</source>
   <translation>Änderungen des Layers speichern und weiterarbeiten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Show class</source>
   <translation>Klasse zeigen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Show status</source>
   <translation>Status zeigen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>Start the review</source>
   <translation>Prüfung beginnen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>change</source>
   <translation>Änderung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>class probability</source>
   <translation>Klassenwahrscheinlichkeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>edge of the raster</source>
   <translation>Rand des Rasters</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>overlap</source>
   <translation>Überlappung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>score</source>
   <translation>Bewertung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>shape</source>
   <translation>Form</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>stability</source>
   <translation>Stabilität</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>{at} of {total} · accepted {accepted} · rejected {rejected} · open {open}</source>
   <translation>{at} von {total} · angenommen {accepted} · abgelehnt {rejected} · offen {open}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_mode.py" />
   <source>{status}, probability {probability}</source>
   <translation>{status}, Wahrscheinlichkeit {probability}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>How the layer is drawn</source>
   <translation>Wie der Layer dargestellt wird</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>Improve the model…</source>
   <translation>Modell verbessern…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>Layer</source>
   <translation>Layer</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>Review a result</source>
   <translation>Ergebnis durchsehen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>Show all</source>
   <translation>Alle zeigen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>Style</source>
   <translation>Stil</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>Trains the model on the accepted and corrected polygons of this layer, and keeps it only where it is better</source>
   <translation>Trainiert das Modell mit den angenommenen und korrigierten Polygonen dieses Layers und behält es nur, wenn es besser ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>{count} objects</source>
   <translation>{count} Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>{layer} cannot be filtered; save it as a GeoPackage first.</source>
   <translation>{layer} lässt sich nicht filtern; speichern Sie den Layer zuerst als GeoPackage.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/review_panel.py" />
   <source>{layer} is being edited; save it first, then filter it.</source>
   <translation>{layer} wird bearbeitet; speichern Sie zuerst, dann filtern Sie.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Automatic runs</source>
   <translation>Automatische Läufe</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Close</source>
   <translation>Schließen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Everything</source>
   <translation>Alles</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Forget</source>
   <translation>Vergessen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Go on</source>
   <translation>Fortsetzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>In the target layer</source>
   <translation>Im Ziellayer</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Repeat</source>
   <translation>Wiederholen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Seconds</source>
   <translation>Sekunden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Shown</source>
   <translation>Gezeigt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Started</source>
   <translation>Begonnen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Take the run off this list; layers stay as they are</source>
   <translation>Den Lauf aus dieser Liste nehmen; Layer bleiben, wie sie sind</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>The panel shows what this run was told</source>
   <translation>Das Bedienfeld zeigt die Einstellungen dieses Laufs</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>The same raster, area and settings as a new run</source>
   <translation>Dasselbe Raster, Gebiet und dieselben Einstellungen als neuer Lauf</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>The tiles that are left; after QGIS was closed all of them, quickly, and without what the target layer has already</source>
   <translation>Die übrigen Kacheln; nachdem QGIS geschlossen war, alle, rasch und ohne das, was der Ziellayer schon hat</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Tiles</source>
   <translation>Kacheln</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Use the settings</source>
   <translation>Einstellungen übernehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>What</source>
   <translation>Was</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Where</source>
   <translation>Wo</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>Words: {words}</source>
   <translation>Wörter: {words}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>done</source>
   <translation>fertig</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>failed</source>
   <translation>fehlgeschlagen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>running</source>
   <translation>läuft</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/runs_dialog.py" />
   <source>stopped</source>
   <translation>angehalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/setup_dialog.py" />
   <source>Set up SamGeo Seamless</source>
   <translation>SamGeo Seamless einrichten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/setup_dialog.py" />
   <source>The engine runs in its own process and its own Python environment, so that it can never disturb QGIS. It is set up once; nothing is downloaded before you click.</source>
   <translation>Die Engine läuft in einem eigenen Prozess und einer eigenen Python-Umgebung, sodass sie QGIS nie stören kann. Sie wird einmal eingerichtet; vor Ihrem Klick wird nichts heruntergeladen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>&amp;Model</source>
   <translation>&amp;Modell</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>&amp;Raster</source>
   <translation>&amp;Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>&amp;Target</source>
   <translation>&amp;Ziel</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>A temporary rendering is in use.</source>
   <translation>Eine vorläufige Darstellung wird benutzt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Apple GPU (MPS)</source>
   <translation>Apple-GPU (MPS)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Automatic</source>
   <translation>Automatisch</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Bands and device</source>
   <translation>Bänder und Gerät</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Blue</source>
   <translation>Blau</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>CPU</source>
   <translation>CPU</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Green</source>
   <translation>Grün</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>It is not saved by itself now, as that would save the changes of {others}, too.</source>
   <translation>Er wird jetzt nicht von selbst gespeichert: Das würde auch die Änderungen von {others} speichern.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Models: sizes, licences, download, files of one's own</source>
   <translation>Modelle: Größen, Lizenzen, Herunterladen, eigene Dateien</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>NVIDIA GPU (CUDA)</source>
   <translation>NVIDIA-GPU (CUDA)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>New GeoPackage layer</source>
   <translation>Neuer GeoPackage-Layer</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>New GeoPackage layer…</source>
   <translation>Neuer GeoPackage-Layer…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>New layer, saved by itself</source>
   <translation>Neuer Layer, speichert sich selbst</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>New temporary layer</source>
   <translation>Neuer temporärer Layer</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Red</source>
   <translation>Rot</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Render the visible extent…</source>
   <translation>Sichtbaren Ausschnitt rendern…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Save by itself while you pause</source>
   <translation>In Pausen selbst speichern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Save the target layer: nothing to save</source>
   <translation>Ziellayer speichern: nichts zu speichern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Save the target layer: {count} changed features are not saved yet</source>
   <translation>Ziellayer speichern: {count} geänderte Objekte sind noch nicht gespeichert</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Small model that comes with SamGeo Seamless</source>
   <translation>Kleines Modell, das mit SamGeo Seamless kommt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>The raster was removed; the object in work was given up.</source>
   <translation>Das Raster wurde entfernt; das Objekt in Arbeit wurde aufgegeben.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>The view of this online layer is used; {size} of {limit} MB are kept until the project is closed.</source>
   <translation>Die Ansicht dieses Online-Layers wird verwendet; {size} von {limit} MB bleiben bis zum Schließen des Projekts erhalten.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>This layer is not a file: its visible part can be rendered into a temporary one.</source>
   <translation>Dieser Layer ist keine Datei: sein sichtbarer Teil kann in eine vorläufige gerendert werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>Which attribute goes into which field</source>
   <translation>Welches Attribut in welches Feld kommt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>embedded</source>
   <translation>eingebaut</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>on disk</source>
   <translation>vorhanden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/source_panel.py" />
   <source>to download</source>
   <translation>herunterzuladen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/word_row.py" />
   <source>Model that understands the words</source>
   <translation>Modell, das die Wörter versteht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/word_row.py" />
   <source>What to look for, in English; several words with commas. Each is a class.</source>
   <translation>Was gesucht wird, auf Englisch; mehrere Wörter mit Kommas. Jedes ist eine Klasse.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/word_row.py" />
   <source>swimming pool, solar panel</source>
   <translation>swimming pool, solar panel</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/gui/word_row.py" />
   <source>{model} (the chosen model)</source>
   <translation>{model} (das gewählte Modell)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accept_queue.py" />
   <source>Another raster or model was chosen; the object that was still to come was given up.</source>
   <translation>Ein anderes Raster oder Modell wurde gewählt; das noch ausstehende Objekt wurde verworfen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accept_queue.py" />
   <source>The engine's answer could not be read.</source>
   <translation>Die Antwort der Engine konnte nicht gelesen werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accept_queue.py" />
   <source>The engine's polygon could not be read.</source>
   <translation>Das Polygon der Engine konnte nicht gelesen werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accept_queue.py" />
   <source>The model finds no object at an accepted click; it was left out.</source>
   <translation>Das Modell findet an einem übernommenen Klick kein Objekt; es wurde ausgelassen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accept_queue.py" />
   <source>The project's CRS has changed; the object that was still to come was given up.</source>
   <translation>Das KBS des Projekts hat sich geändert; das noch ausstehende Objekt wurde verworfen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accept_queue.py" />
   <source>{count} accepted objects could not be made; click them again.</source>
   <translation>{count} übernommene Objekte konnten nicht erzeugt werden; klicken Sie sie noch einmal an.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/accepted_objects.py" />
   <source>Refine accepted objects</source>
   <translation>Übernommene Objekte verfeinern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Accept some objects of a class first: click each, then Enter.</source>
   <translation>Nehmen Sie zuerst einige Objekte einer Klasse an: jedes anklicken, dann Enter.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Choose a raster layer first.</source>
   <translation>Wählen Sie zuerst einen Rasterlayer.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Like these in {raster}</source>
   <translation>Wie diese in {raster}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Nothing is new: all objects are in {layer} already.</source>
   <translation>Nichts Neues: Alle Objekte sind schon in {layer}.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Nothing was added to {layer}.</source>
   <translation>Zu {layer} wurde nichts hinzugefügt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Nothing was found for {words}: try other words.</source>
   <translation>Für {words} wurde nichts gefunden: versuchen Sie andere Wörter.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Objects in {raster}</source>
   <translation>Objekte in {raster}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>The area lies outside the map's CRS.</source>
   <translation>Das Gebiet liegt außerhalb des KBS der Karte.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>Write what to look for, e.g. swimming pool.</source>
   <translation>Schreiben Sie, was gesucht wird, z. B. swimming pool.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>like these</source>
   <translation>wie diese</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>{count} do not fit: {why}.</source>
   <translation>{count} passen nicht: {why}.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>{count} objects are in {layer}, not saved yet.</source>
   <translation>{count} Objekte sind in {layer}, noch nicht gespeichert.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>{count} that you have changed stay, though they are parts of larger ones now.</source>
   <translation>{count}, die Sie geändert haben, bleiben, obwohl sie jetzt Teile größerer sind.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>{count} were there already.</source>
   <translation>{count} waren schon da.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>{name} is not a file, so that there is no whole of it to search: choose the visible extent or the polygons of a layer.</source>
   <translation>{name} ist keine Datei und kann nicht als Ganzes durchsucht werden: Wählen Sie den sichtbaren Ausschnitt oder die Polygone eines Layers.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/automatic.py" />
   <source>{name} is not in the project any more; add it and choose it.</source>
   <translation>{name} ist nicht mehr im Projekt; fügen Sie es hinzu und wählen Sie es.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/autosave.py" />
   <source>{layer} is not saved by itself now: in this project that would save the changes of {others}, too. Save them when you want to.</source>
   <translation>{layer} wird gerade nicht von selbst gespeichert: In diesem Projekt würden damit auch die Änderungen von {others} gespeichert. Speichern Sie, wann Sie wollen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Add it again</source>
   <translation>Noch einmal hinzufügen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>No file can be made for the objects: they go into a temporary layer, which is lost when QGIS ends. Save it, or choose a target layer.</source>
   <translation>Für die Objekte kann keine Datei angelegt werden: Sie kommen in einen temporären Layer, der mit QGIS endet. Bitte speichern oder einen Ziellayer wählen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Objects</source>
   <translation>Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Objects go into {file} and are saved while you pause.</source>
   <translation>Objekte kommen in {file} und werden gespeichert, während Sie pausieren.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Objects of {raster}</source>
   <translation>Objekte von {raster}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Replace its outline</source>
   <translation>Umriss ersetzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Set up…</source>
   <translation>Einrichten…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>The target layer is gone; choose another one.</source>
   <translation>Der Ziellayer ist nicht mehr da; wählen Sie einen anderen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Try again</source>
   <translation>Noch einmal versuchen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>Use a new layer</source>
   <translation>Neuen Layer nehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>{layer} has this object already, hidden by its filter; nothing was added.</source>
   <translation>{layer} enthält dieses Objekt schon, vom Filter verborgen; nichts wurde hinzugefügt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>{layer} has this object already; nothing was added.</source>
   <translation>{layer} enthält dieses Objekt schon; nichts wurde hinzugefügt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/controller.py" />
   <source>{name} is not a file; render the visible extent first.</source>
   <translation>{name} ist keine Datei; rendern Sie zuerst den sichtbaren Ausschnitt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/decision_writer.py" />
   <source>A new object is not in {layer} yet ({why}). In the review, accept such objects one by one and fill in the form.</source>
   <translation>Ein neues Objekt ist noch nicht in {layer} ({why}). Nehmen Sie solche Objekte in der Prüfung einzeln an und füllen Sie das Formular aus.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Ctrl+click two polygons or more, then merge them.</source>
   <translation>Wählen Sie mit Strg+Klick zwei oder mehr Polygone und verschmelzen Sie sie dann.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Delete objects</source>
   <translation>Objekte löschen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Draw the line across the polygon, from outside to outside.</source>
   <translation>Zeichnen Sie die Linie quer durch das Polygon, von außen nach außen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Existing objects cover this one wholly, and the project avoids overlaps.</source>
   <translation>Vorhandene Objekte bedecken dieses ganz, und das Projekt vermeidet Überlappungen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Keep the largest part</source>
   <translation>Größten Teil behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Merge objects</source>
   <translation>Objekte verschmelzen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Right angles do not suit this outline; it stays as it is.</source>
   <translation>Rechte Winkel passen nicht zu diesem Umriss; er bleibt, wie er ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Save {layer} first: this object is not saved yet, and QGIS would lose its value of “{field}”, which is a new field.</source>
   <translation>Speichern Sie zuerst {layer}: Dieses Objekt ist noch nicht gespeichert, und QGIS würde seinen Wert von „{field}“ verlieren, weil das Feld neu ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>Split objects</source>
   <translation>Objekte trennen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The field “{field}” of {layer} cannot hold “{value}”: choose or add a text field that is long enough.</source>
   <translation>Das Feld „{field}“ von {layer} kann „{value}“ nicht aufnehmen: wählen Sie ein Textfeld, das lang genug ist, oder fügen Sie eines hinzu.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} cannot be edited while others are, as the project saves the edits of all layers together: save them, end their editing, and try again.</source>
   <translation>Der Layer {name} lässt sich nicht bearbeiten, solange andere bearbeitet werden, weil das Projekt die Änderungen aller Layer gemeinsam speichert: Speichern Sie diese, beenden Sie ihre Bearbeitung, und versuchen Sie es noch einmal.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} cannot be edited; choose another one.</source>
   <translation>Der Layer {name} lässt sich nicht bearbeiten; wählen Sie einen anderen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} cannot hold this polygon; choose another one.</source>
   <translation>Der Layer {name} kann dieses Polygon nicht aufnehmen; wählen Sie einen anderen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} does not let features be deleted.</source>
   <translation>Der Layer {name} lässt das Löschen von Objekten nicht zu.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} refused the change ({why}).</source>
   <translation>Der Layer {name} hat die Änderung abgelehnt ({why}).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} refused the change; see its form's constraints.</source>
   <translation>Der Layer {name} hat die Änderung abgelehnt; prüfen Sie die Bedingungen seines Formulars.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>The layer {name} refused the object; see its form's constraints.</source>
   <translation>Der Layer {name} hat das Objekt abgelehnt; sehen Sie nach den Bedingungen seines Formulars.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>These polygons do not touch; the layer holds single parts only.</source>
   <translation>Diese Polygone berühren sich nicht; der Layer nimmt nur einteilige Objekte auf.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>What other objects cover of this one cannot be computed ({why}); repair their outlines.</source>
   <translation>Was andere Objekte von diesem bedecken, lässt sich nicht berechnen ({why}); reparieren Sie deren Umrisse.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>unknown reason</source>
   <translation>unbekannter Grund</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>{field} of {layer} cannot be changed.</source>
   <translation>{field} von {layer} kann nicht geändert werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editing.py" />
   <source>{layer} holds single polygons, and this change has several parts.</source>
   <translation>{layer} enthält einteilige Polygone, und diese Änderung hat mehrere Teile.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editor.py" />
   <source>Done; Ctrl+Z takes it back.</source>
   <translation>Erledigt; Strg+Z nimmt es zurück.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/editor.py" />
   <source>The object that was corrected has been deleted meanwhile.</source>
   <translation>Das korrigierte Objekt ist inzwischen gelöscht worden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>Rename a class</source>
   <translation>Klasse umbenennen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>The example lies outside the CRS of its layer.</source>
   <translation>Das Beispiel liegt außerhalb des KBS seines Layers.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>The examples are in a temporary layer: save the project, and they are kept beside it.</source>
   <translation>Die Beispiele sind in einem temporären Layer: Speichern Sie das Projekt, dann werden sie daneben aufbewahrt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>The examples are in {file} now; save the project once more.</source>
   <translation>Die Beispiele sind jetzt in {file}; speichern Sie das Projekt noch einmal.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>The layer {name} takes no examples.</source>
   <translation>Der Layer {name} nimmt keine Beispiele an.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>{count} examples of “{old}” are of “{new}” now; other layers stay as they are.</source>
   <translation>{count} Beispiele von „{old}“ gehören jetzt zu „{new}“; andere Layer bleiben, wie sie sind.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>{file} has examples already ({count}), which count too: delete those that you do not want.</source>
   <translation>{file} hat schon Beispiele ({count}), die mitzählen: Löschen Sie die, die Sie nicht wollen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/examples.py" />
   <source>{layer} cannot be changed; its examples of “{old}” keep that class.</source>
   <translation>{layer} lässt sich nicht ändern; seine Beispiele von „{old}“ behalten diese Klasse.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/find_like.py" />
   <source>The engine's answer cannot be read.</source>
   <translation>Die Antwort der Engine kann nicht gelesen werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/online.py" />
   <source>The area would be rendered with {width} × {height} pixels, and the limit is {limit}: choose a smaller one, zoom out for larger pixels, or raise the limit in the settings.</source>
   <translation>Das Gebiet würde mit {width} × {height} Pixeln gerendert, und die Grenze ist {limit}: Wählen Sie ein kleineres, zoomen Sie für größere Pixel heraus, oder setzen Sie die Grenze in den Einstellungen höher.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/online.py" />
   <source>The map has no size yet.</source>
   <translation>Die Karte hat noch keine Größe.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/online_session.py" />
   <source>The search has ended, because another part of the layer was opened. “Runs…” can repeat it.</source>
   <translation>Die Suche ist beendet, weil ein anderer Teil des Layers geöffnet wurde. Unter „Läufe…“ lässt sie sich wiederholen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/online_session.py" />
   <source>The search needs another part of {name} than the object in work: accept it (Enter) or give it up (Esc) first.</source>
   <translation>Die Suche braucht einen anderen Teil von {name} als das Objekt in Arbeit: Nehmen Sie es zuerst an (Eingabe), oder verwerfen Sie es (Esc).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/opening.py" />
   <source>{why} It ended several times; choose a smaller model or see the log.</source>
   <translation>{why} Sie endete mehrmals; wählen Sie ein kleineres Modell oder sehen Sie ins Protokoll.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/opening.py" />
   <source>{why} It is being restarted.</source>
   <translation>{why} Sie wird neu gestartet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/reading.py" />
   <source>{name} cannot be read, as something else reads it all the time; wait until the map is drawn, and try again.</source>
   <translation>{name} lässt sich nicht lesen, weil etwas anderes den Layer ständig liest; warten Sie, bis die Karte gezeichnet ist, und versuchen Sie es noch einmal.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review.py" />
   <source>Review: {status}</source>
   <translation>Prüfung: {status}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review.py" />
   <source>There is no class {number} in this layer.</source>
   <translation>In diesem Layer gibt es keine Klasse {number}.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review.py" />
   <source>“{status}” of {layer} is no field for decisions; they go into “{field}”.</source>
   <translation>„{status}“ von {layer} ist kein Feld für Entscheidungen; sie kommen in „{field}“.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_correction.py" />
   <source>An object is in work: accept it (Enter) or give it up (Esc) first, then correct this polygon.</source>
   <translation>Ein Objekt ist in Arbeit: Nehmen Sie es zuerst an (Eingabe), oder verwerfen Sie es (Esc); korrigieren Sie dann dieses Polygon.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_correction.py" />
   <source>The correction of the rejected polygon was given up.</source>
   <translation>Die Korrektur des abgelehnten Polygons wurde verworfen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_correction.py" />
   <source>The correction of this polygon has no outline: click elsewhere, or give it up (Esc).</source>
   <translation>Die Korrektur dieses Polygons hat keinen Umriss: Klicken Sie anderswohin, oder verwerfen Sie sie (Esc).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_fields.py" />
   <source>Add a field for the review</source>
   <translation>Feld für die Prüfung hinzufügen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_fields.py" />
   <source>{layer} lets no field be added; add a text field “{field}” to it first.</source>
   <translation>{layer} lässt kein neues Feld zu; fügen Sie zuerst ein Textfeld „{field}“ hinzu.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_start.py" />
   <source>{layer} has no room for the decisions: its field “{field}” holds other values or is no text; rename that field first.</source>
   <translation>{layer} hat keinen Platz für die Entscheidungen: das Feld „{field}“ enthält andere Werte oder ist kein Text; benennen Sie zuerst dieses Feld um.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/review_start.py" />
   <source>{name} is an update of a layer that is not open: open that layer first.</source>
   <translation>{name} ist die Aktualisierung eines Layers, der nicht geöffnet ist: öffnen Sie zuerst diesen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/session.py" />
   <source>The model finds no object there; click elsewhere or draw a box.</source>
   <translation>Das Modell findet dort kein Objekt; klicken Sie anderswo oder ziehen Sie ein Rechteck.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/session.py" />
   <source>The project's CRS has changed; the object in work was given up.</source>
   <translation>Das KBS des Projekts hat sich geändert; das Objekt in Arbeit wurde verworfen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/take_over.py" />
   <source>Editing of the layer {name} ended before the found objects were in it; take them again.</source>
   <translation>Die Bearbeitung des Layers {name} endete, bevor die gefundenen Objekte darin waren; übernehmen Sie sie noch einmal.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/take_over.py" />
   <source>Take found objects over</source>
   <translation>Gefundene Objekte übernehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>Add a field for the class</source>
   <translation>Feld für die Klasse hinzufügen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>Add segmented object</source>
   <translation>Segmentiertes Objekt hinzufügen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>Correct object</source>
   <translation>Objekt korrigieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The layer {name} has no CRS; set one in its properties.</source>
   <translation>Der Layer {name} hat kein KBS; setzen Sie eines in seinen Eigenschaften.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The layer {name} has no field “label” or “class” and lets none be added: choose another layer or no class, or add a text field “class” to it first.</source>
   <translation>Der Layer {name} hat kein Feld „label“ oder „class“ und lässt kein neues zu: Wählen Sie einen anderen Layer oder keine Klasse, oder fügen Sie zuerst ein Textfeld „class“ hinzu.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The layer {name} holds no polygons; choose a polygon layer.</source>
   <translation>Der Layer {name} enthält keine Polygone; wählen Sie einen Polygonlayer.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The layer {name} is read-only; choose another one or a new layer.</source>
   <translation>Der Layer {name} ist schreibgeschützt; wählen Sie einen anderen oder einen neuen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The layer {name} refused the object ({why}).</source>
   <translation>Der Layer {name} hat das Objekt abgelehnt ({why}).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The object lies outside the CRS of {name}; choose a layer with another CRS.</source>
   <translation>Das Objekt liegt außerhalb des KBS von {name}; wählen Sie einen Layer mit anderem KBS.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The object that was corrected has been changed meanwhile.</source>
   <translation>Das korrigierte Objekt ist inzwischen verändert worden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>The project has no CRS, and its rasters do not have the same one, so that nobody knows where the object lies; choose a CRS in the project's properties, then click it again.</source>
   <translation>Das Projekt hat kein KBS, und seine Raster haben nicht dasselbe, so dass niemand weiß, wo das Objekt liegt; wählen Sie in den Projekteigenschaften ein KBS und klicken Sie es dann noch einmal an.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>{file} cannot be written ({why}); choose another folder.</source>
   <translation>{file} kann nicht geschrieben werden ({why}); wählen Sie einen anderen Ordner.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/target.py" />
   <source>{file} has a layer {name} already; choose another name.</source>
   <translation>{file} hat schon einen Layer {name}; wählen Sie einen anderen Namen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>How feature {id} of {layer} was before the update is not known any more; change it there by hand.</source>
   <translation>Wie das Objekt {id} von {layer} vor der Aktualisierung war, ist nicht mehr bekannt; ändern Sie es dort von Hand.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>The layer {name} refuses the change.</source>
   <translation>Der Layer {name} lehnt die Änderung ab.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>The old layer has been removed from the project; open it again.</source>
   <translation>Der alte Layer wurde aus dem Projekt entfernt; öffnen Sie ihn wieder.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>Update taken back</source>
   <translation>Aktualisierung zurückgenommen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>Update: {status}</source>
   <translation>Aktualisierung: {status}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>{layer} has no feature {id} any more; the change is left out.</source>
   <translation>{layer} hat kein Objekt {id} mehr; die Änderung entfällt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/interactive/update_review.py" />
   <source>{layer} has no polygon with the outline of this new object: if you have changed it since, delete it there by hand.</source>
   <translation>{layer} hat kein Polygon mit dem Umriss dieses neuen Objekts: falls Sie es seither geändert haben, löschen Sie es dort von Hand.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/log.py" />
   <source>Details</source>
   <translation>Einzelheiten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Help and about…</source>
   <translation>Hilfe und Info…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Left click on a found object: right; right click or Shift+click: wrong</source>
   <translation>Linksklick auf ein gefundenes Objekt: richtig; Rechtsklick oder Umschalt+Klick: falsch</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Rendering the map</source>
   <translation>Karte rendern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Right or wrong</source>
   <translation>Richtig/falsch</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>SamGeo Seamless panel</source>
   <translation>Bedienfeld SamGeo Seamless</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Segment</source>
   <translation>Segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Segment objects by clicks, boxes and strokes</source>
   <translation>Objekte mit Klicks, Rechtecken und Strichen segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Select one polygon of the active layer first.</source>
   <translation>Wählen Sie zuerst ein Polygon des aktiven Layers aus.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>Settings…</source>
   <translation>Einstellungen…</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>The engine has to be set up once; nothing is downloaded unasked.</source>
   <translation>Die Engine muss einmal eingerichtet werden; ungefragt wird nichts heruntergeladen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/plugin.py" />
   <source>The polygon lies outside the map's CRS.</source>
   <translation>Das Polygon liegt außerhalb des Karten-KBS.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>A file could not be written ({why}); choose another folder and run it again.</source>
   <translation>Eine Datei ließ sich nicht schreiben ({why}); wählen Sie einen anderen Ordner und starten Sie erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>A file could not be written ({why}); make room and run it again.</source>
   <translation>Eine Datei ließ sich nicht schreiben ({why}); schaffen Sie Platz und starten Sie erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>Choose a raster that exists and can be read.</source>
   <translation>Wählen Sie ein Raster, das vorhanden und lesbar ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>Quality</source>
   <translation>Qualität</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>Raster tools</source>
   <translation>Rasterwerkzeuge</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>Segmentation</source>
   <translation>Segmentierung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the area in which every object is drawn</source>
   <translation>das Gebiet, in dem jedes Objekt gezeichnet ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the area of interest</source>
   <translation>das Interessengebiet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the examples</source>
   <translation>die Beispiele</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the examples of none of the classes</source>
   <translation>die Beispiele für keine der Klassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the exemplar boxes</source>
   <translation>die Musterrahmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the input layer</source>
   <translation>der Eingabelayer</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the layer of prompts</source>
   <translation>der Layer der Eingaben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the rendered raster</source>
   <translation>das gerenderte Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the result</source>
   <translation>das Ergebnis</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the temporary folder</source>
   <translation>der temporäre Ordner</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>the truth</source>
   <translation>die Referenz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>{count} of {total} rasters failed, wholly or in part: {names}</source>
   <translation>{count} von {total} Rastern sind ganz oder teilweise fehlgeschlagen: {names}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>{count} parts of the job failed and are missing: {names}</source>
   <translation>{count} Teile der Aufgabe sind fehlgeschlagen und fehlen: {names}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/base.py" />
   <source>“{what}”</source>
   <translation>„{what}“</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>0.65 where nothing is said; without strokes, 0.5</source>
   <translation>0,65, wo nichts gesagt ist; ohne Striche 0,5</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>A few road widths where nothing is said</source>
   <translation>Ein paar Straßenbreiten, wenn nichts gesagt wird</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Classes of ground</source>
   <translation>Klassen des Bodens</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Classified objects</source>
   <translation>Klassifizierte Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Classify ground</source>
   <translation>Boden klassifizieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Divides all of a raster, or of an extent, into classes. The polygons share their borders, without gaps and overlaps, and no seam of the tiles shows. Each has its class, the class's probability, and its area.

The classes are those of examples: strokes, points or polygons on ground of each class. Without examples they are those that the embedded model knows: building, road, water, trees, field, bare ground, vehicle, other.</source>
   <translation>Teilt ein ganzes Raster oder eine Ausdehnung davon in Klassen. Die Polygone haben gemeinsame Grenzen, ohne Lücken und Überlappungen, und keine Naht der Kacheln ist zu sehen. Jedes hat seine Klasse, deren Wahrscheinlichkeit und seine Fläche.

Die Klassen sind die der Beispiele: Striche, Punkte oder Polygone auf dem Boden jeder Klasse. Ohne Beispiele sind es die, die das eingebaute Modell kennt: Gebäude, Straße, Wasser, Bäume, Feld, offener Boden, Fahrzeug, Sonstiges.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Draws the centre lines of all roads (or streams) of a raster or an extent. Lines end at junctions and meet there exactly; each has its width, its length and its probability.

Roads are what a few strokes along some of them, and some on other ground, say; without strokes, what the embedded model takes for roads. Five strokes give a first map; ten give a good one. Strokes whose class is empty, and those of the second layer, are on other ground.</source>
   <translation>Zeichnet die Mittellinien aller Straßen (oder Bäche) eines Rasters oder einer Ausdehnung. Linien enden an Kreuzungen und treffen sich dort genau; jede hat ihre Breite, ihre Länge und ihre Wahrscheinlichkeit.

Straßen sind, was einige Striche entlang von Straßen und einige auf anderem Boden sagen; ohne Striche, was das eingebaute Modell für Straßen hält. Fünf Striche geben eine erste Karte, zehn eine gute. Striche, deren Klasse leer ist, und die der zweiten Ebene liegen auf anderem Boden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Gives the polygons of a layer classes, from a few examples on the same raster: points or strokes on polygons, boxes around them, or polygons. Nothing is segmented again; ten examples of each class and ten of none are a good beginning.

The result has the polygons' attributes, their class and its probability. “Only objects of the classes” leaves out what is of none, and of objects that share ground keeps the one that fits its class best.

The project's layer “Examples” can be used as it is, with its field “class”.</source>
   <translation>Gibt den Polygonen eines Layers Klassen, aus einigen Beispielen auf demselben Raster: Punkte oder Striche auf Polygonen, Rechtecke um sie oder Polygone. Nichts wird neu segmentiert; zehn Beispiele jeder Klasse und zehn für keine sind ein guter Anfang.

Das Ergebnis hat die Attribute der Polygone, ihre Klasse und deren Wahrscheinlichkeit. „Nur Objekte der Klassen“ lässt aus, was zu keiner gehört, und behält von Objekten auf demselben Boden das, das zu seiner Klasse am besten passt.

Der Layer „Beispiele“ des Projekts kann mit seinem Feld „class“ benutzt werden, wie er ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Needed where the strokes are of several classes</source>
   <translation>Nötig, wo die Striche von mehreren Klassen sind</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Road network</source>
   <translation>Straßennetz</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Roads</source>
   <translation>Straßen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Smaller ones go to their neighbours</source>
   <translation>Kleinere gehen an ihre Nachbarn</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Strokes</source>
   <translation>Striche</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/class_algorithms.py" />
   <source>Without examples: one class of the embedded model</source>
   <translation>Ohne Beispiele: eine Klasse des eingebauten Modells</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/engine_run.py" />
   <source>Stopping…</source>
   <translation>Wird angehalten …</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/engine_run.py" />
   <source>The engine stopped answering and was ended; run the algorithm again.</source>
   <translation>Die Engine hat nicht mehr geantwortet und wurde beendet; starten Sie den Algorithmus erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Area in which the truth is complete</source>
   <translation>Gebiet, in dem die Referenz vollständig ist</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Compare a result with the truth</source>
   <translation>Ergebnis mit der Referenz vergleichen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Compares polygons with true polygons (recall, precision, panoptic quality, IoU, by class and by size), or lines with true lines (correctness and completeness within 4 and 8 m, APLS). The layers may have different CRSs.

The output shows what went wrong: missed, false, merged, split, duplicate, imprecise objects and wrong classes.</source>
   <translation>Vergleicht Polygone mit Referenzpolygonen (Recall, Precision, Panoptic Quality, IoU, nach Klasse und Größe) oder Linien mit Referenzlinien (Richtigkeit und Vollständigkeit innerhalb von 4 und 8 m, APLS). Die Layer dürfen verschiedene KBS haben.

Die Ausgabe zeigt, was falsch ist: fehlende, falsche, verschmolzene, zerteilte, doppelte und ungenaue Objekte sowie falsche Klassen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Completeness</source>
   <translation>Vollständigkeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Correctness</source>
   <translation>Richtigkeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Errors</source>
   <translation>Fehler</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Found</source>
   <translation>Gefunden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>HTML files (*.html)</source>
   <translation>HTML-Dateien (*.html)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Precision</source>
   <translation>Precision</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Recall</source>
   <translation>Recall</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Report</source>
   <translation>Bericht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Result</source>
   <translation>Ergebnis</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>True</source>
   <translation>Wahr</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>Within</source>
   <translation>Innerhalb</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/evaluate_result.py" />
   <source>{result} against {truth}</source>
   <translation>{result} gegen {truth}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/examples.py" />
   <source>Choose the field of the examples that holds their class.</source>
   <translation>Wählen Sie das Feld der Beispiele, das ihre Klasse enthält.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/examples.py" />
   <source>Classifier</source>
   <translation>Klassifikator</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/examples.py" />
   <source>Features without a class are examples of what belongs to none of them</source>
   <translation>Objekte ohne Klasse sind Beispiele für das, was zu keiner gehört</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>Choose a layer that exists and can be read.</source>
   <translation>Wählen Sie einen Layer, der vorhanden und lesbar ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>Features of {name} without a geometry, which are left out: {count}</source>
   <translation>Objekte von {name} ohne Geometrie, die ausgelassen werden: {count}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>Give either an extent or an area of interest, not both.</source>
   <translation>Geben Sie entweder eine Ausdehnung oder ein Interessengebiet an, nicht beides.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>Rendering {width} × {height} pixels</source>
   <translation>{width} × {height} Pixel werden gerendert</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>The extent misses the raster {name}; choose one that overlaps it.</source>
   <translation>Die Ausdehnung verfehlt das Raster {name}; wählen Sie eine, die es überdeckt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>The layer {name} could not be handed to the engine: {why}</source>
   <translation>Der Layer {name} konnte der Engine nicht übergeben werden: {why}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>The layer {name} has no features with a geometry; choose another one.</source>
   <translation>Der Layer {name} hat keine Objekte mit Geometrie; wählen Sie einen anderen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>The layer {name} has no field “{field}”; choose one of these: {fields}</source>
   <translation>Der Layer {name} hat kein Feld „{field}“; wählen Sie eines von diesen: {fields}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>The layer {name} reaches beyond the project's CRS, in which the raster lies that has none; give the raster's layer its CRS.</source>
   <translation>Der Layer {name} reicht über das KBS des Projekts hinaus, in dem das Raster ohne eigenes KBS liegt; geben Sie dem Rasterlayer sein KBS.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>{name} is not a file: name an extent and a resolution, with which it is rendered.</source>
   <translation>{name} ist keine Datei: nennen Sie eine Ausdehnung und eine Auflösung, mit der gerendert wird.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>{name} is not a file: save what you need of it as a file first.</source>
   <translation>{name} ist keine Datei: speichern Sie zuerst als Datei, was Sie davon brauchen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/given.py" />
   <source>{name} is not a file: several rasters must all be files.</source>
   <translation>{name} ist keine Datei: mehrere Raster müssen alle Dateien sein.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>98 % of chances</source>
   <translation>98-%-Intervall</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>After</source>
   <translation>Nachher</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Automatic F1</source>
   <translation>F1 im automatischen Modus</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Automatic precision</source>
   <translation>Precision im automatischen Modus</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Automatic recall</source>
   <translation>Recall im automatischen Modus</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Before</source>
   <translation>Vorher</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Figure</source>
   <translation>Kennzahl</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Gain</source>
   <translation>Gewinn</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>In all, for the log of rounds (samgeo models log)</source>
   <translation>Insgesamt, für das Protokoll der Runden (samgeo models log)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>IoU for a box</source>
   <translation>IoU für ein Rechteck</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>IoU for a click</source>
   <translation>IoU für einen Klick</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Left out: {what}</source>
   <translation>Ausgelassen: {what}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Measured on {count} polygons that were held back.</source>
   <translation>Gemessen an {count} zurückgehaltenen Polygonen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Rejected polygons found again</source>
   <translation>Abgelehnte Polygone, die wieder gefunden wurden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>The model is better</source>
   <translation>Das Modell ist besser</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Trains the model on polygons that you have accepted or corrected on this raster, on this computer. Some objects of another place are held back: on them the model is measured before and after, and the new one is kept only where it is better. Rejected polygons (status field) teach what is not wanted.

At least about thirty polygons at more than one place are needed. A run that was cancelled goes on when it is started again with the same name.</source>
   <translation>Trainiert das Modell auf diesem Rechner mit Polygonen, die Sie auf diesem Raster angenommen oder korrigiert haben. Einige Objekte an einem anderen Ort werden zurückgehalten: An ihnen wird das Modell vorher und nachher gemessen, und das neue wird nur behalten, wenn es besser ist. Abgelehnte Polygone (Statusfeld) zeigen, was nicht gewünscht ist.

Nötig sind etwa dreißig Polygone an mehr als einem Ort. Ein abgebrochener Lauf geht weiter, wenn er mit demselben Namen wieder gestartet wird.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Use the new model from now on</source>
   <translation>Das neue Modell von nun an verwenden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>Why</source>
   <translation>Warum</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>accepted, corrected and rejected are used; all polygons without a field</source>
   <translation>accepted, corrected und rejected werden verwendet; ohne Feld alle Polygone</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/improve_model.py" />
   <source>{name} is the model of the panel from the next object on.</source>
   <translation>{name} ist ab dem nächsten Objekt das Modell des Bedienfelds.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Area in which chips are cut</source>
   <translation>Gebiet, in dem Kacheln geschnitten werden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Cuts the raster into chips that keep their georeference and writes the polygons as their labels: COCO, SA-1B, YOLO-seg, or GeoTIFF masks. Training and validation chips lie at different places.

Keep chips without objects only where every object is drawn: elsewhere they may show objects without a label.</source>
   <translation>Schneidet das Raster in Kacheln, die ihre Georeferenz behalten, und schreibt die Polygone als deren Annotationen: COCO, SA-1B, YOLO-seg oder GeoTIFF-Masken. Kacheln für Training und Validierung liegen an verschiedenen Orten.

Behalten Sie Kacheln ohne Objekte nur, wo jedes Objekt gezeichnet ist: Anderswo können sie Objekte ohne Annotation zeigen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Export labels for other programs</source>
   <translation>Annotationen für andere Programme exportieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Folder of labels</source>
   <translation>Ordner mit Annotationen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Give a file of labels, or a folder of labels.</source>
   <translation>Geben Sie eine Datei oder einen Ordner mit Annotationen an.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Import labels of images</source>
   <translation>Annotationen von Bildern importieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Labels</source>
   <translation>Annotationen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Number of chips</source>
   <translation>Zahl der Kacheln</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Number of objects</source>
   <translation>Zahl der Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Of the numbers 0, 1, ..., with commas between them</source>
   <translation>Der Nummern 0, 1, ..., durch Kommas getrennt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Reads labels of images (COCO, SA-1B, YOLO-seg, or masks) and brings them back to the ground. The images must be georeferenced, or come from Export labels.

Give a file (COCO, SA-1B) or a folder (YOLO-seg, SA-1B, masks, or an export).</source>
   <translation>Liest Annotationen von Bildern (COCO, SA-1B, YOLO-seg oder Masken) und bringt sie auf den Boden zurück. Die Bilder müssen georeferenziert sein oder aus dem Export von Annotationen stammen.

Geben Sie eine Datei (COCO, SA-1B) oder einen Ordner an (YOLO-seg, SA-1B, Masken oder einen Export).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>Where they do not lie beside the labels</source>
   <translation>Wo sie nicht neben den Annotationen liegen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>{objects} objects of {classes} classes from {images} images</source>
   <translation>{objects} Objekte in {classes} Klassen aus {images} Bildern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/label_algorithms.py" />
   <source>{split}: {chips} chips, {objects} objects</source>
   <translation>{split}: {chips} Kacheln, {objects} Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Centre lines</source>
   <translation>Mittellinien</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Chosen from each polygon's size where nothing is said</source>
   <translation>Ohne Angabe nach der Größe jedes Polygons gewählt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Gives building outlines right angles along their main direction. A polygon keeps its own shape where the regular one would overlap it less than the least IoU.</source>
   <translation>Gibt Gebäudeumrissen rechte Winkel entlang ihrer Hauptrichtung. Ein Polygon behält seine eigene Form, wo sich das regelmäßige weniger mit ihm deckte als die kleinste IoU.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Regularize building outlines</source>
   <translation>Gebäudeumrisse begradigen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Road centre lines</source>
   <translation>Straßenmittellinien</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Simplify (metres)</source>
   <translation>Vereinfachen (Meter)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/outlines.py" />
   <source>Turns polygons of roads into their centre lines. Short spurs are pruned and loops are kept; the width stands in an attribute.</source>
   <translation>Macht aus Polygonen von Straßen ihre Mittellinien. Kurze Stummel werden entfernt, Schleifen bleiben; die Breite steht in einem Attribut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>A grid of points</source>
   <translation>Ein Raster von Punkten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>All objects</source>
   <translation>Alle Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>As many as there are cores where nothing is said</source>
   <translation>Ohne Angabe so viele, wie es Kerne gibt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>As one mosaic</source>
   <translation>Als ein Mosaik</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Bare ground</source>
   <translation>Offener Boden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Boxes</source>
   <translation>Rechtecke</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Boxes and masks</source>
   <translation>Rechtecke und Masken</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Buildings</source>
   <translation>Gebäude</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Centre lines (roads)</source>
   <translation>Mittellinien (Straßen)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Fields</source>
   <translation>Felder</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>GeoTIFF masks</source>
   <translation>GeoTIFF-Masken</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Half a working pixel where nothing is said</source>
   <translation>Ohne Angabe ein halber Arbeitspixel</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Join parts into one object</source>
   <translation>Teile zu einem Objekt verbinden</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Keep all</source>
   <translation>Alle behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Keep objects within objects</source>
   <translation>Objekte in Objekten behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Keep the newest of each place</source>
   <translation>An jedem Ort das neueste behalten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Leave one of each out where the rasters are of one date</source>
   <translation>Je eines weglassen, wo die Raster vom selben Datum sind</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Masks</source>
   <translation>Masken</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Models are downloaded, and files of weights named, in the panel's list of models</source>
   <translation>Modelle werden in der Modellliste des Panels heruntergeladen, und Gewichtsdateien werden dort angegeben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>One layer per raster, in a folder</source>
   <translation>Ein Layer je Raster, in einem Ordner</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Only objects of the classes</source>
   <translation>Nur Objekte der Klassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Other things</source>
   <translation>Anderes</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Points</source>
   <translation>Punkte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Raster by raster into one layer, with source and date</source>
   <translation>Raster für Raster in einen Layer, mit Quelle und Datum</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Separate objects</source>
   <translation>Einzelne Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>The raster's own where nothing is said</source>
   <translation>Ohne Angabe die des Rasters</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Trees</source>
   <translation>Bäume</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Vehicles</source>
   <translation>Fahrzeuge</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Water</source>
   <translation>Wasser</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>What the embedded model takes for objects</source>
   <translation>Was das eingebaute Modell für Objekte hält</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>Without gaps and overlaps (fields)</source>
   <translation>Ohne Lücken und Überlappungen (Felder)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/parameters.py" />
   <source>bfloat16 halves the time on processors that have it (Intel's AMX)</source>
   <translation>bfloat16 halbiert die Zeit auf Prozessoren, die es beherrschen (Intels AMX)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Band {number}: {low} to {high}</source>
   <translation>Band {number}: {low} bis {high}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Computes the contrast stretch that the model sees: one for the whole raster, so that no tile differs from its neighbours. Nodata is left out.</source>
   <translation>Berechnet die Kontraststreckung, die das Modell sieht: eine für das ganze Raster, sodass sich keine Kachel von ihren Nachbarn unterscheidet. Nodata bleibt außen vor.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Encode raster</source>
   <translation>Raster kodieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Lets the model look at the raster beforehand and keeps what it saw on the disk, so that clicks are answered at once later. Windows that were seen before are not seen again.</source>
   <translation>Lässt das Modell das Raster vorab betrachten und bewahrt auf dem Datenträger, was es sah, sodass Klicks später sofort beantwortet werden. Was schon betrachtet wurde, wird nicht noch einmal betrachtet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Lower percentile</source>
   <translation>Unteres Perzentil</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Raster statistics for segmentation</source>
   <translation>Rasterstatistik für die Segmentierung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Stretch, as JSON</source>
   <translation>Streckung, als JSON</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Upper percentile</source>
   <translation>Oberes Perzentil</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Windows encoded now</source>
   <translation>Jetzt kodierte Fenster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>Windows in the extent</source>
   <translation>Fenster in der Ausdehnung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/raster_tools.py" />
   <source>{encoded} of {windows} windows were encoded, the others were there already</source>
   <translation>{encoded} von {windows} Fenstern wurden kodiert, die anderen lagen schon vor</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/results.py" />
   <source>Fields of the input have names that the result needs for its own; there they are called otherwise: {names}</source>
   <translation>Felder der Eingabe haben Namen, die das Ergebnis selbst braucht; dort heißen sie anders: {names}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/results.py" />
   <source>The engine's result {file} cannot be read; see the log.</source>
   <translation>Das Ergebnis der Engine, {file}, ist nicht lesbar; sehen Sie ins Protokoll.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/results.py" />
   <source>The result is kept in {file}, as it could not be written where it was wanted: {why}</source>
   <translation>Das Ergebnis liegt in {file}, weil es nicht an den gewünschten Ort geschrieben werden konnte: {why}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_from_prompts.py" />
   <source>Carry the prompts' attributes over</source>
   <translation>Attribute der Eingaben übernehmen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_from_prompts.py" />
   <source>Makes one polygon for each feature of a layer: points mark objects, polygons are boxes or rough outlines, lines run along objects. The layer may have any CRS.

“prompt_id” of a polygon is the id of its prompt; the prompts' attributes are carried over.</source>
   <translation>Macht ein Polygon für jedes Objekt eines Layers: Punkte markieren Objekte, Polygone sind Rechtecke oder grobe Umrisse, Linien laufen an Objekten entlang. Der Layer darf jedes KBS haben.

„prompt_id“ eines Polygons ist die Kennung seiner Eingabe; die Attribute der Eingaben werden übernommen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_from_prompts.py" />
   <source>Segment from prompts</source>
   <translation>Aus Eingaben segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Automatic: by the ground resolution and the size of the objects</source>
   <translation>Automatisch: nach der Bodenauflösung und der Größe der Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Automatic: proposals for the embedded model, a grid for other models</source>
   <translation>Automatisch: Vorschläge beim eingebauten Modell, ein Punktraster bei anderen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Examples and exemplar boxes need a field of the same name for the class.</source>
   <translation>Beispiele und Musterrahmen brauchen für die Klasse ein Feld gleichen Namens.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Examples of the objects to find</source>
   <translation>Beispiele der gesuchten Objekte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Field of the exemplars with the class</source>
   <translation>Feld der Muster mit der Klasse</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Finds every object in a raster and writes one polygon for each, however many tiles it crosses. Each polygon carries its score, stability, area and perimeter, so that weak ones can be filtered afterwards without running again.

“hierarchy” keeps objects within objects; “flat” joins parts into one. “coverage” gives polygons without gaps and overlaps, as for fields. “rectangles” makes right angles, as for buildings; “centerlines” gives lines, as for roads.

With examples, only objects of their classes are written: points or strokes on a few of them, and on a few others without a class. With words, only what a model that understands words finds; with exemplar boxes, what SAM 3 takes for the same; with examples beside them, those decide among what is found.

A run that was cancelled goes on where it was when it is started again with the same raster and model.

A layer that is not a file (XYZ, WMS) is rendered first: name an extent and a working resolution.

Several rasters (advanced) are one mosaic, or are segmented one by one: into one layer that says source and date of each object, or into a folder with one layer each. One that fails stops no other and is named at the end.</source>
   <translation>Findet jedes Objekt eines Rasters und schreibt für jedes ein Polygon, wie viele Kacheln es auch überquert. Jedes Polygon trägt Güte, Stabilität, Fläche und Umfang, sodass schwache nachher ohne neuen Lauf gefiltert werden können.

„hierarchy“ behält Objekte in Objekten; „flat“ fügt Teile zu einem zusammen. „coverage“ ergibt Polygone ohne Lücken und Überlappungen, wie für Felder. „rectangles“ macht rechte Winkel, wie für Gebäude; „centerlines“ ergibt Linien, wie für Straßen.

Mit Beispielen werden nur Objekte ihrer Klassen geschrieben: Punkte oder Striche auf einigen davon, und auf einigen anderen ohne Klasse. Mit Wörtern nur, was ein Modell findet, das Wörter versteht; mit Musterrahmen, was SAM 3 für dasselbe hält; mit Beispielen daneben entscheiden diese unter dem, was gefunden wird.

Ein abgebrochener Lauf geht dort weiter, wo er war, wenn er mit demselben Raster und Modell neu gestartet wird.

Ein Layer, der keine Datei ist (XYZ, WMS), wird zuerst gerendert: nennen Sie eine Ausdehnung und eine Arbeitsauflösung.

Mehrere Raster (unter „Erweitert“) sind ein Mosaik, oder sie werden einzeln segmentiert: in einen Layer, der zu jedem Objekt Quelle und Datum nennt, oder in einen Ordner mit je einem Layer. Eines, das fehlschlägt, hält kein anderes auf und wird am Ende genannt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>For SAM 3: what looks like the exemplars is found; what has no class is not</source>
   <translation>Für SAM 3: was den Mustern gleicht, wird gefunden; was ohne Klasse ist, nicht</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Rules of the command line, separated by semicolons, e.g. building: square, min-area=10; largest-part</source>
   <translation>Regeln der Kommandozeile, durch Strichpunkte getrennt, z. B. building: square, min-area=10; largest-part</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Segment raster</source>
   <translation>Raster segmentieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>Separated by commas; for SAM 3, or with a model that finds words</source>
   <translation>Durch Kommas getrennt; für SAM 3 oder mit einem Modell, das Wörter findet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>What the embedded model takes an object for; other models know no classes</source>
   <translation>Wofür das eingebaute Modell ein Objekt hält; andere Modelle kennen keine Klassen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/segment_raster.py" />
   <source>grounding-dino-tiny, owlv2-base or others of the list of models on disk</source>
   <translation>grounding-dino-tiny, owlv2-base oder andere aus der Liste der Modelle auf der Platte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>A mosaic joins objects across the rasters' borders and needs rasters of one grid; raster by raster, one that fails stops no other</source>
   <translation>Ein Mosaik verbindet Objekte über die Ränder der Raster hinweg und braucht Raster eines gemeinsamen Gitters; Raster für Raster hält ein fehlgeschlagenes kein anderes auf</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>Choose where the layer of objects goes, under “Objects”.</source>
   <translation>Wählen Sie unter „Objekte“, wohin der Layer der Objekte geschrieben wird.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>Each raster's GeoPackage has the raster's name</source>
   <translation>Das GeoPackage jedes Rasters heißt wie das Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>Folder for one layer per raster</source>
   <translation>Ordner für einen Layer je Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>For rasters that share a layer</source>
   <translation>Für Raster, die sich einen Layer teilen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>Layers of the rasters</source>
   <translation>Layer der Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>More rasters</source>
   <translation>Weitere Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>One layer per raster needs a folder: choose one under “Folder for one layer per raster”.</source>
   <translation>Ein Layer je Raster braucht einen Ordner: wählen Sie einen unter „Ordner für einen Layer je Raster“.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>The folder {folder} cannot be made ({why}); choose another.</source>
   <translation>Der Ordner {folder} kann nicht angelegt werden ({why}); wählen Sie einen anderen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>The raster {name} cannot be read: mend it, or leave it out.</source>
   <translation>Das Raster {name} ist nicht lesbar: reparieren Sie es, oder lassen Sie es weg.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>They are segmented together with the raster above; all must be files</source>
   <translation>Sie werden zusammen mit dem Raster oben segmentiert; alle müssen Dateien sein</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>With one layer per raster nothing is written to {file}: leave “Objects” as a temporary layer; the layers go to the folder.</source>
   <translation>Bei einem Layer je Raster wird nichts nach {file} geschrieben: lassen Sie „Objekte“ als temporären Layer; die Layer kommen in den Ordner.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>“Folder for one layer per raster” is not used here: leave it empty, or choose one layer per raster under “Several rasters”.</source>
   <translation>„Ordner für einen Layer je Raster“ wird hier nicht gebraucht: Lassen Sie ihn leer, oder wählen Sie einen Layer je Raster unter „Mehrere Raster“.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/several_rasters.py" />
   <source>“Objects that overlapping rasters show twice” is about rasters that share a layer: choose “Raster by raster into one layer” under “Several rasters”.</source>
   <translation>„Objekte, die überlappende Raster doppelt zeigen“ gilt für Raster, die sich einen Layer teilen: wählen Sie „Raster für Raster in einen Layer“ unter „Mehrere Raster“.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/sinks.py" />
   <source>{file} cannot be written: {file}-wal beside it says that QGIS or another program has it open. Remove its layers from the project or close the program, or choose another file.</source>
   <translation>{file} lässt sich nicht schreiben: {file}-wal daneben sagt, dass QGIS oder ein anderes Programm die Datei geöffnet hat. Entfernen Sie ihre Layer aus dem Projekt, schließen Sie das Programm oder wählen Sie eine andere Datei.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/sinks.py" />
   <source>{file} cannot be written: {file}-wal is left of a GeoPackage of that name that is gone. If QGIS or another program still has that one open, close it there; else delete {file}-wal, or choose another file.</source>
   <translation>{file} lässt sich nicht schreiben: {file}-wal ist von einem GeoPackage dieses Namens übrig, das es nicht mehr gibt. Wenn QGIS oder ein anderes Programm dieses noch geöffnet hat, schließen Sie es dort; sonst löschen Sie {file}-wal oder wählen Sie eine andere Datei.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/sinks.py" />
   <source>{file} did not take all features</source>
   <translation>{file} hat nicht alle Objekte aufgenommen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/sinks.py" />
   <source>{why} (a part of the result stays there)</source>
   <translation>{why} (ein Teil des Ergebnisses bleibt dort)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Band</source>
   <translation>Band</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>CRS</source>
   <translation>KBS</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Colour</source>
   <translation>Farbe</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Format</source>
   <translation>Format</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>High</source>
   <translation>Oben</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Low</source>
   <translation>Unten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Mask</source>
   <translation>Maske</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Nodata</source>
   <translation>Nodata</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Size (pixels)</source>
   <translation>Größe (Pixel)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/stretch_report.py" />
   <source>Type</source>
   <translation>Typ</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Area over time</source>
   <translation>Fläche über die Zeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Areas by date</source>
   <translation>Flächen nach Datum</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Areas of objects by date</source>
   <translation>Flächen der Objekte nach Datum</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>CSV files (*.csv)</source>
   <translation>CSV-Dateien (*.csv)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Choose rasters of at least two dates.</source>
   <translation>Wählen Sie Raster von mindestens zwei Daten.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Dated rasters</source>
   <translation>Datierte Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Follows the polygons of a layer through rasters of several dates: where each is present, gone or hidden by clouds or missing data, its outline and its area. Dates come from the rasters’ names, tags or STAC items, or from a CSV with the columns raster and date.

The result can be played with QGIS’s temporal controller. The table has one row per object and one column per date.</source>
   <translation>Verfolgt die Polygone eines Layers durch Raster mehrerer Daten: ob jedes vorhanden, verschwunden oder durch Wolken oder fehlende Daten verdeckt ist, mit Umriss und Fläche. Die Daten stammen aus Namen, Tags oder STAC-Items der Raster oder aus einer CSV-Datei mit den Spalten raster und date.

Das Ergebnis lässt sich mit der Zeitsteuerung von QGIS abspielen. Die Tabelle hat eine Zeile je Objekt und eine Spalte je Datum.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Object</source>
   <translation>Objekt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Objects at each date</source>
   <translation>Objekte zu jedem Datum</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Polygons at one of the dates</source>
   <translation>Polygone zu einem der Daten</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Square metres; 0 where an object is gone, – where it is hidden.</source>
   <translation>Quadratmeter; 0, wo ein Objekt verschwunden, –, wo es verdeckt ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>The earliest date of the rasters where nothing is said</source>
   <translation>Ohne Angabe das früheste Datum der Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>The first {shown} of {count} objects; the table has all.</source>
   <translation>Die ersten {shown} von {count} Objekten; die Tabelle enthält alle.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>Track objects through time</source>
   <translation>Objekte durch die Zeit verfolgen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/track_objects.py" />
   <source>{name} is not a file: only files can be followed through time.</source>
   <translation>{name} ist keine Datei: Nur Dateien lassen sich durch die Zeit verfolgen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>Changes</source>
   <translation>Änderungen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>Field with the polygons’ names</source>
   <translation>Feld mit den Namen der Polygone</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>New raster</source>
   <translation>Neues Raster</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>Old polygons</source>
   <translation>Alte Polygone</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>Only some polygons of {name} are compared, so no new objects are looked for: the others would be among them.</source>
   <translation>Nur einige Polygone von {name} werden verglichen, also werden keine neuen Objekte gesucht: Die übrigen wären darunter.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>Says of each polygon of an old layer what became of it on a new raster: confirmed, moved, reshaped, split, merged or gone, each with a probability; and finds new objects of the layer’s class. A shift of the whole layer is told apart.

The old layer stays as it is. “Review a result” shows old and new outlines and takes the new ones over, one by one, where the old layer is a file.</source>
   <translation>Sagt von jedem Polygon eines alten Layers, was auf einem neuen Raster daraus geworden ist: bestätigt, bewegt, umgeformt, geteilt, vereinigt oder verschwunden, jeweils mit einer Wahrscheinlichkeit; und findet neue Objekte der Klasse des Layers. Ein Versatz des ganzen Layers wird davon unterschieden.

Der alte Layer bleibt, wie er ist. „Ein Ergebnis durchsehen“ zeigt alte und neue Umrisse und übernimmt die neuen, einen nach dem anderen, wenn der alte Layer eine Datei ist.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>The whole layer is shifted: the raster shows it {length} m away ({east} m east, {north} m north).</source>
   <translation>Der ganze Layer ist versetzt: das Raster zeigt ihn {length} m entfernt ({east} m nach Osten, {north} m nach Norden).</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>Update a layer from a new raster</source>
   <translation>Layer mit einem neuen Raster aktualisieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>{file} cannot be written to again, so the review does not find the old layer from it. Close it in other programs and run this once more.</source>
   <translation>{file} lässt sich nicht noch einmal schreiben; die Durchsicht findet den alten Layer von dort aus nicht. Schließen Sie die Datei in anderen Programmen und führen Sie dies noch einmal aus.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>{name} has polygons that are not saved yet, which the review knows again by their outlines only. Save the layer first to be sure.</source>
   <translation>{name} hat Polygone, die noch nicht gespeichert sind; die Durchsicht erkennt sie nur an ihren Umrissen wieder. Speichern Sie den Layer zuerst, um sicherzugehen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/processing/update_layer.py" />
   <source>{name} is not a layer of a file: the review cannot take changes over into it. Save it as a GeoPackage first, and update that.</source>
   <translation>{name} ist kein Layer einer Datei: die Durchsicht kann keine Änderungen in ihn übernehmen. Speichern Sie ihn zuerst als GeoPackage und aktualisieren Sie das.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rasters.py" />
   <source>The layer {name} cannot be read; repair its data source.</source>
   <translation>Der Layer {name} ist nicht lesbar; reparieren Sie seine Datenquelle.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rasters.py" />
   <source>The layer {name} is broken; repair its data source.</source>
   <translation>Der Layer {name} ist defekt; reparieren Sie seine Datenquelle.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rasters.py" />
   <source>{file} cannot be read; repair the layer's source.</source>
   <translation>{file} kann nicht gelesen werden; reparieren Sie die Quelle des Layers.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rasters.py" />
   <source>{file} cannot be written ({why}); make room for it.</source>
   <translation>{file} kann nicht geschrieben werden ({why}); schaffen Sie Platz dafür.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rasters.py" />
   <source>{file} was moved or deleted; repair the layer's data source.</source>
   <translation>{file} wurde verschoben oder gelöscht; reparieren Sie die Datenquelle des Layers.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rasters.py" />
   <source>{name} is no raster layer; choose one.</source>
   <translation>{name} ist kein Rasterlayer; wählen Sie einen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>Parts of {layer} could not be loaded ({why}); nothing is found there.</source>
   <translation>Teile von {layer} konnten nicht geladen werden ({why}); dort wird nichts gefunden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>The extent is empty; zoom to the place that you mean.</source>
   <translation>Die Ausdehnung ist leer; zoomen Sie an die gemeinte Stelle.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>The rendering was cancelled.</source>
   <translation>Das Rendern wurde abgebrochen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>The resolution must be a positive number.</source>
   <translation>Die Auflösung muss eine positive Zahl sein.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>no answer in time</source>
   <translation>keine Antwort in der vorgesehenen Zeit</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>{file} cannot be written; is the disk full?</source>
   <translation>{file} kann nicht geschrieben werden; ist der Datenträger voll?</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>{file} could not be written in full; is the disk full?</source>
   <translation>{file} konnte nicht ganz geschrieben werden; ist der Datenträger voll?</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>{layer} could not be loaded ({why}); try again when its server answers.</source>
   <translation>{layer} konnte nicht geladen werden ({why}); versuchen Sie es wieder, wenn der Server antwortet.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/rendering.py" />
   <source>{width} × {height} pixels exceed the limit of {limit}; zoom in or choose a coarser resolution.</source>
   <translation>{width} × {height} Pixel überschreiten die Grenze von {limit}; zoomen Sie hinein oder wählen Sie eine gröbere Auflösung.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/bundle.py" />
   <source>The bundle is for {theirs}, and this computer is {ours}.</source>
   <translation>Der Paketordner ist für {theirs}, und dieser Rechner ist {ours}.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/bundle.py" />
   <source>{folder} holds no bundle; name the folder that 'samgeo bundle' made, or none.</source>
   <translation>{folder} ist kein Paketordner; nennen Sie den Ordner von 'samgeo bundle', oder keinen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment.py" />
   <source>The engine is not set up yet; set it up in the settings.</source>
   <translation>Die Engine ist noch nicht eingerichtet; richten Sie sie in den Einstellungen ein.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment.py" />
   <source>The engine's Python {python} is gone; name another one in the settings.</source>
   <translation>Das Python der Engine, {python}, ist nicht mehr da; nennen Sie in den Einstellungen ein anderes.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment.py" />
   <source>The engine's setup is not finished; go on with it in the settings.</source>
   <translation>Die Einrichtung der Engine ist nicht abgeschlossen; setzen Sie sie in den Einstellungen fort.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>, {seconds} s left</source>
   <translation>, noch {seconds} s</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>A file of the bundle is damaged or missing; copy the bundle again, then retry.</source>
   <translation>Eine Datei des Paketordners ist beschädigt oder fehlt; kopieren Sie ihn erneut, dann versuchen Sie es noch einmal.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>A file of the environment is in use or protected; close other windows of QGIS and programs that use the engine, then retry, or choose another folder.</source>
   <translation>Eine Datei der Umgebung ist in Gebrauch oder geschützt; schließen Sie andere Fenster von QGIS und Programme, die die Engine benutzen, und versuchen Sie es wieder, oder wählen Sie einen anderen Ordner.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>A package does not exist for this Python and system; choose another Python.</source>
   <translation>Ein Paket gibt es für dieses Python und System nicht; wählen Sie ein anderes Python.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>A path in the folder is too long for Windows; choose a folder with a shorter path, such as C:\samgeo.</source>
   <translation>Ein Pfad im Ordner ist zu lang für Windows; wählen Sie einen Ordner mit kürzerem Pfad, etwa C:\samgeo.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>Libraries of Microsoft Visual C++ are missing or too old; install them from https://aka.ms/vs/17/release/vc_redist.x64.exe, then retry.</source>
   <translation>Bibliotheken von Microsoft Visual C++ fehlen oder sind zu alt; installieren Sie sie von https://aka.ms/vs/17/release/vc_redist.x64.exe und versuchen Sie es wieder.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>Remove the engine's environment</source>
   <translation>Umgebung der Engine entfernen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>Step {at} of {total}: {title}</source>
   <translation>Schritt {at} von {total}: {title}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The bundle is for another Python; see the log for which one.</source>
   <translation>Der Paketordner ist für ein anderes Python; welches, steht im Protokoll.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The connection was cut in the middle of a download; retry, and the setup goes on at this step.</source>
   <translation>Die Verbindung brach mitten im Herunterladen ab; versuchen Sie es erneut, die Einrichtung geht bei diesem Schritt weiter.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The disk is full; free some space or choose another folder, then retry.</source>
   <translation>Der Datenträger ist voll; schaffen Sie Platz oder wählen Sie einen anderen Ordner und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The engine is ready.</source>
   <translation>Die Engine ist bereit.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The folder cannot be written to; choose another folder.</source>
   <translation>In den Ordner kann nicht geschrieben werden; wählen Sie einen anderen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The package server shows no such package; check the proxy and the mirror, or choose another Python, then retry.</source>
   <translation>Der Paketserver zeigt kein solches Paket; prüfen Sie Proxy und Spiegel, oder wählen Sie ein anderes Python, dann versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The package servers cannot be reached; check the network or QGIS's proxy, then retry.</source>
   <translation>Die Paketserver sind nicht erreichbar; prüfen Sie das Netz oder den Proxy von QGIS und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The proxy asks for a user name and a password; enter them in QGIS's network settings (Settings &gt; Options &gt; Network), then retry.</source>
   <translation>Der Proxy verlangt Benutzernamen und Passwort; tragen Sie sie in den Netzwerkeinstellungen von QGIS ein (Einstellungen &gt; Optionen &gt; Netzwerk), dann versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The proxy refuses the connection; check QGIS's network settings, then retry.</source>
   <translation>Der Proxy verweigert die Verbindung; prüfen Sie die Netzwerkeinstellungen von QGIS und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The server's certificate is not trusted; add your network's authority to QGIS's authentication settings, then retry.</source>
   <translation>Dem Zertifikat des Servers wird nicht vertraut; fügen Sie die Zertifizierungsstelle Ihres Netzes in der Authentifizierung von QGIS hinzu und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>The setup was cancelled; it can go on from here.</source>
   <translation>Die Einrichtung wurde abgebrochen; sie kann hier fortgesetzt werden.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>This Python cannot make environments; install python3-venv (on Debian and Ubuntu: sudo apt install python3-venv) or choose another Python, then retry.</source>
   <translation>Dieses Python kann keine Umgebungen anlegen; installieren Sie python3-venv (unter Debian und Ubuntu: sudo apt install python3-venv) oder wählen Sie ein anderes Python und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>This Python cannot run the engine; install Python 3.12 from python.org, restart QGIS, then retry.</source>
   <translation>Mit diesem Python läuft die Engine nicht; installieren Sie Python 3.12 von python.org, starten Sie QGIS neu und versuchen Sie es wieder.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>{folder} was not made by this plugin and is left alone.</source>
   <translation>{folder} wurde nicht von dieser Erweiterung angelegt und bleibt unberührt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>{step} failed; see the log, then retry.</source>
   <translation>{step} ist fehlgeschlagen; sehen Sie ins Protokoll und versuchen Sie es erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>{step}, about {size} MB</source>
   <translation>{step}, etwa {size} MB</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/environment_job.py" />
   <source>{step}; {done} of {total} MB</source>
   <translation>{step}; {done} von {total} MB</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>No NVIDIA GPU was found (nvidia-smi is missing or names none): the CUDA build would run on the CPU, too; choose CPU.</source>
   <translation>Keine NVIDIA-GPU gefunden (nvidia-smi fehlt oder nennt keine): auch die CUDA-Fassung liefe auf der CPU; wählen Sie CPU.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>No NVIDIA GPU was found: the CPU build is right.</source>
   <translation>Keine NVIDIA-GPU gefunden: die CPU-Fassung ist richtig.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>On Apple's chips the GPU is used with either build.</source>
   <translation>Auf Apples Chips wird die GPU mit beiden Fassungen benutzt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>PyTorch cannot use it; the engine's log says why</source>
   <translation>PyTorch kann sie nicht benutzen; das Protokoll der Engine sagt, warum</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>PyTorch has no code for a card as old as {name}</source>
   <translation>PyTorch hat keinen Code für eine so alte Karte wie {name}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>no NVIDIA GPU was found (nvidia-smi is missing or names none)</source>
   <translation>keine NVIDIA-GPU gefunden (nvidia-smi fehlt oder nennt keine)</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>not known yet: no model has run</source>
   <translation>noch nicht bekannt: es hat noch kein Modell gerechnet</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>the device is set to CPU</source>
   <translation>das Gerät ist auf CPU gestellt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>the driver {driver} is older than {least}</source>
   <translation>der Treiber {driver} ist älter als {least}</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>the environment has the CPU build; choose CUDA and set up again</source>
   <translation>die Umgebung hat die CPU-Fassung; wählen Sie CUDA und richten Sie neu ein</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>{name} is here: it is used if you choose CUDA instead of CPU.</source>
   <translation>{name} ist vorhanden: sie wird benutzt, wenn Sie CUDA statt CPU wählen.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>{name} is too old for PyTorch: choose CPU.</source>
   <translation>{name} ist zu alt für PyTorch: Wählen Sie CPU.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>{name}, driver {driver}: PyTorch for CUDA {version} fits.</source>
   <translation>{name}, Treiber {driver}: PyTorch für CUDA {version} passt.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/gpu.py" />
   <source>{name}: its driver {driver} is too old for PyTorch; update it to {least} or newer, or choose CPU.</source>
   <translation>{name}: der Treiber {driver} ist zu alt für PyTorch; aktualisieren Sie ihn auf {least} oder neuer, oder wählen Sie CPU.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Check the bundle's files</source>
   <translation>Dateien des Paketordners prüfen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Check the engine</source>
   <translation>Engine prüfen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Copy the models</source>
   <translation>Modelle kopieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Install PyTorch ({build})</source>
   <translation>PyTorch installieren ({build})</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Install the engine</source>
   <translation>Engine installieren</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Look for the libraries of Python</source>
   <translation>Bibliotheken von Python suchen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Make the environment</source>
   <translation>Umgebung anlegen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Remove what an earlier setup left</source>
   <translation>Reste einer früheren Einrichtung entfernen</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>Renew pip</source>
   <translation>pip erneuern</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>{folder} cannot be written to; choose another folder.</source>
   <translation>In {folder} kann nicht geschrieben werden; wählen Sie einen anderen Ordner.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>{folder} has {free} MB free and {needed} MB are needed; choose another folder.</source>
   <translation>In {folder} sind {free} MB frei, nötig sind {needed} MB; wählen Sie einen anderen Ordner.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>{folder} holds other files; choose an empty folder, or name its Python instead.</source>
   <translation>{folder} enthält andere Dateien; wählen Sie einen leeren Ordner oder nennen Sie sein Python.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>{folder} is too long for Windows: its path may have {most} characters; choose a folder with a shorter one, such as C:\samgeo.</source>
   <translation>{folder} ist zu lang für Windows: Der Pfad darf {most} Zeichen haben; wählen Sie einen Ordner mit kürzerem Pfad, etwa C:\samgeo.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/setup/setup_plan.py" />
   <source>{python} cannot make environments: its venv module is not complete. On Debian and Ubuntu, install it (sudo apt install python{minor}-venv); then look again.</source>
   <translation>{python} kann keine Umgebungen anlegen: sein Modul venv ist unvollständig. Installieren Sie es unter Debian und Ubuntu (sudo apt install python{minor}-venv) und suchen Sie dann erneut.</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>A colour for each object</source>
   <translation>Eine Farbe je Objekt</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>By label</source>
   <translation>Nach Beschriftung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>By score</source>
   <translation>Nach Güte</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>By status of the review</source>
   <translation>Nach Status der Prüfung</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>By the project's classes</source>
   <translation>Nach den Klassen des Projekts</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>Lines</source>
   <translation>Linien</translation>
  </message>
  <message>
   <location filename="samgeo_plugin/styles.py" />
   <source>Outline for review</source>
   <translation>Umriss zur Durchsicht</translation>
  </message>
 </context>
</TS>

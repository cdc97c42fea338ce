"""One page to look at runs: `report.html` of a run, and `pytest-lmms view` over many.

`data` turns run folders into what the page shows, `media` adds the pictures and the exact messages of documents, `page`
puts page, style, script and data into one file, `live` answers the same page from a folder of runs. The page itself,
plain HTML, CSS and JavaScript, lies in `page/`.
"""
